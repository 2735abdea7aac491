"""What is done for speed changes no number, and ends with the training."""

import platform
import resource
import subprocess
import sys
import threading

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


GLIBC = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")


@GLIBC
def test_a_large_tensor_takes_no_pages_anew_from_step_to_step():
    def faults():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(10):
            torch.empty(12_000_000).fill_(1)  # 48 MB, 11,719 pages
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    with at_full_speed():
        faults()
        assert faults() < 2_000


KEPT = """
import sys
from pathlib import Path
import torch
from vaelab.system.processor import at_full_speed

def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

def kept_mb():
    before = resident_mb()
    torch.empty(100_000_000, dtype=torch.uint8).fill_(1)
    return resident_mb() - before

with at_full_speed():
    inside = kept_mb()
print(inside, kept_mb())
"""


@GLIBC
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_allocator_gives_memory_back_after_the_training():
    done = subprocess.run([sys.executable, "-c", KEPT], capture_output=True, text=True, timeout=120, check=True)
    inside, after = map(float, done.stdout.split())
    assert inside > 90
    assert after < 10


class Glibc:
    """Records what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.values: dict[int, int] = {}

    def mallopt(self, option: int, value: int) -> int:
        self.asked.append(("mallopt", option))
        self.values[option] = value
        return 1

    def malloc_trim(self, pad: int) -> int:
        self.asked.append(("trim", pad))
        return 1


@pytest.fixture
def glibc(monkeypatch):
    made = Glibc()
    monkeypatch.setattr(processor, "_glibc", lambda: made)
    return made


def test_only_the_outermost_context_changes_the_allocator_and_restores_it(glibc):
    with at_full_speed():
        inside = dict(glibc.values)
        assert inside[processor.M_MMAP_MAX] == 0
        with pytest.raises(ZeroDivisionError), at_full_speed():
            _ = 1 / 0
        assert glibc.values == inside
        assert len(glibc.asked) == 2
    assert glibc.values == {
        processor.M_MMAP_MAX: 65_536,
        processor.M_MMAP_THRESHOLD: 32 * 2**20,
        processor.M_TRIM_THRESHOLD: 64 * 2**20,
    }
    assert glibc.asked[-1] == ("trim", 0)
    with at_full_speed():  # the next training has it again
        assert glibc.values[processor.M_MMAP_MAX] == 0


def test_of_two_threads_the_last_to_end_restores_the_settings(glibc):
    """Neither leaves the other's settings to the process."""
    settings = torch.backends.mkldnn.matmul
    before = settings.fp32_precision
    first_is_in, second_is_in = threading.Event(), threading.Event()

    def first() -> None:
        with at_full_speed():
            first_is_in.set()
            second_is_in.wait(10)

    thread = threading.Thread(target=first)
    thread.start()
    first_is_in.wait(10)
    with at_full_speed():
        inside = settings.fp32_precision
        second_is_in.set()
        thread.join(10)
        assert settings.fp32_precision == inside
        assert glibc.values[processor.M_MMAP_MAX] == 0
    assert settings.fp32_precision == before
    assert glibc.values[processor.M_MMAP_MAX] == 65_536


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
