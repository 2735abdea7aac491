"""What is done for speed changes no number."""

import platform
import resource

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

import vaelab.system.processor as processor
from vaelab.system.processor import at_full_speed, pixels_innermost


@pytest.mark.parametrize(("rows", "inner", "columns"), [(1, 784, 500), (100, 500, 784), (5000, 20, 500), (7, 64, 3)])
def test_products_are_float32_inside_as_outside(rows, inner, columns):
    generator = torch.Generator().manual_seed(0)
    x, w = torch.randn(rows, inner, generator=generator), torch.randn(inner, columns, generator=generator)
    exact = x.double() @ w.double()
    with at_full_speed():
        found = x @ w
    scale = x.double().abs() @ w.double().abs()
    assert ((found - exact).abs() / scale).max() < 4 * torch.finfo(torch.float32).eps * inner**0.5


def test_the_setting_is_put_back_even_behind_an_error():
    settings = torch.backends.mkldnn.matmul
    before = settings.fp32_precision
    with pytest.raises(ZeroDivisionError), at_full_speed():
        _ = 1 / 0
    assert settings.fp32_precision == before


def test_a_processor_that_would_round_to_bfloat16_is_left_alone(monkeypatch):
    settings = torch.backends.mkldnn.matmul
    before = settings.fp32_precision
    monkeypatch.setattr(processor, "_onednn_keeps_float32", lambda: False)
    with at_full_speed():
        assert settings.fp32_precision == before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="speaks to glibc")
def test_a_large_tensor_takes_no_pages_anew_from_step_to_step():
    def faults():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(10):
            torch.empty(12_000_000).fill_(1)  # 48 MB, 11,719 pages
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    with at_full_speed():
        faults()
        assert faults() < 2_000


def test_the_probe_tells_float32_from_what_is_less(monkeypatch):
    assert processor._is_float32(16, 64)
    product = torch.Tensor.__matmul__
    for less in (torch.bfloat16, torch.float16):
        monkeypatch.setattr(torch.Tensor, "__matmul__", lambda a, b, to=less: product(a.to(to), b.to(to)).float())
        assert not processor._is_float32(16, 64)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_pixels_come_to_lie_in_a_row_and_gradients_go_back(layout):
    maps = torch.randn(3, 5, 4, 6).to(memory_format=layout).requires_grad_()

    def f(maps):
        return pixels_innermost(maps)

    for g in (f, torch.compile(f, backend="aot_eager", fullgraph=True)):
        found = g(maps)
        assert found.stride()[-2:] == (6, 1)
        assert torch.equal(found, maps)
        (gradient,) = torch.autograd.grad((found * torch.arange(6.0)).sum(), maps)
        assert torch.equal(gradient, torch.arange(6.0).expand(3, 5, 4, 6))
    assert "vaelab.materialised" in make_fx(f)(maps).code  # where a step is traced, too
    mapped = torch.func.vmap(pixels_innermost)(maps[None].detach().expand(2, -1, -1, -1, -1))
    assert torch.equal(mapped, maps.detach().expand(2, -1, -1, -1, -1))
