import matplotlib.image
import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.profile import (
    COPIES,
    ELEMENTWISE,
    GROUPS,
    NOISE,
    OPTIMISER,
    OVERHEAD,
    PRODUCTS,
    Profile,
    group_of,
    grouped,
    picture,
)
from benchmarks.workloads import workloads


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("aten::addmm", PRODUCTS),
        ("aten::mm", PRODUCTS),
        ("aten::convolution_backward", PRODUCTS),
        ("mkldnn::_linear_pointwise", PRODUCTS),
        ("cpp_CppMicroGemmAMX_gemm_3", PRODUCTS),
        ("aoti_torch_cpu_mm_out", PRODUCTS),
        ("aoti_torch_cpu_convolution_backward", PRODUCTS),
        ("aten::normal_", NOISE),
        ("graph_0_cpp_fused_bitwise_xor_mul_3", NOISE),
        ("graph_0_cpp_fused__foreach_add__foreach_addcmul__foreach_sqrt_add_copy__div_9", OPTIMISER),
        ("graph_0_cpp_fused__foreach_add__foreach_mul_abs_binary_cross_entropy_with_logits_4", ELEMENTWISE),
        ("graph_0_cpp_fused_convolution_convolution_backward_relu_threshold_backward_1", ELEMENTWISE),
        ("graph_0_cpp_fused_tanh_2", ELEMENTWISE),
        ("aten::logsumexp", ELEMENTWISE),
        ("aten::exp", ELEMENTWISE),
        ("graph_0_cpp_fused__to_copy_div_index_1", COPIES),
        ("graph_0_cpp_fused_clone_materialised_view_6", COPIES),
        ("aten::copy_", COPIES),
        ("aten::index", COPIES),
        ("aten::empty", OVERHEAD),
        ("aoti_torch_empty_strided", OVERHEAD),
    ],
)
def test_a_kernel_belongs_to_the_group_of_what_it_is_made_of(name: str, group: str):
    assert group_of(name) == group


def test_groups_sum_to_the_time_on_the_wall():
    a = torch.randn(200, 200)
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        for _ in range(5):
            (a @ a).tanh()
    found = grouped(profiled, seconds=1.0, units=5, unit="a step", flops=2 * 200**3)
    assert found.wall == pytest.approx(200)
    assert found.milliseconds[PRODUCTS] > 0
    assert found.milliseconds[ELEMENTWISE] > 0
    assert found.milliseconds[OVERHEAD] > 100  # nothing else happened in that second


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_picture_is_drawn_with_units_and_what_it_was_made_on(tmp_path):
    found = Profile("a step", dict.fromkeys(GROUPS, 2.0), 10**9)
    figure = picture(workloads(quick=False)["a"], found, "a machine; torch 2.13")
    (axes,) = figure.axes
    assert "12 ms a step" in " ".join(figure.get_suptitle().split())
    assert axes.get_xlabel() == "time of a step, ms"
    assert figure.get_supxlabel() == "a machine; torch 2.13"
    assert "17 %; 500 GFLOP/s" in axes.texts[0].get_text()
    figure.savefig(tmp_path / "a.png", dpi=60)
    assert matplotlib.image.imread(tmp_path / "a.png").std() > 0.05
    assert (tmp_path / "a.png").stat().st_size < 60_000
