"""A torch that lacks what vaelab uses of its internals: each name is taken away, and the fallback gives the same."""

import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from vaelab.evaluation import inference
from vaelab.likelihoods import Bernoulli
from vaelab.models import Conditional
from vaelab.randomness.seeds import seed_generator
from vaelab.system import torch_internals
from vaelab.system.processor import at_full_speed, pixels_innermost
from vaelab.system.torch_internals import (
    COMPILER,
    CPU_GENERATOR,
    CUDA_GENERATORS,
    FOREACH,
    JIT_COMPILE,
    MATMUL_PRECISION,
    NAMES,
    ONEDNN,
    PROXY_MODE,
    MissingInternalError,
    find,
    foreach,
    graph_of,
    has_onednn_linear,
    matmul_precision,
)
from vaelab.training.step.compiled import Work, choose_step
from vaelab.training.step.program import just_in_time, trace

ROOT = Path(__file__).parents[2]
WORK = Work(1, 0, "a", torch.device("cpu"))


def remove(name: str, monkeypatch) -> None:
    """Make a torch that lacks `name`, one of NAMES."""
    module, _, attribute = name.partition(":")
    if name == MATMUL_PRECISION:  # a property of a class
        monkeypatch.delattr(type(torch.backends.mkldnn), "matmul")
    elif name in (CPU_GENERATOR, CUDA_GENERATORS, *FOREACH):
        monkeypatch.delattr(pkgutil.resolve_name(module), attribute)
    else:  # torch itself needs it: hide it from vaelab
        resolve = pkgutil.resolve_name

        def without(asked: str) -> object:
            if asked == name:
                raise AttributeError(attribute)
            return resolve(asked)

        monkeypatch.setattr(torch_internals.pkgutil, "resolve_name", without)


@pytest.mark.parametrize("name", NAMES)
def test_this_torch_has_it(name):
    find(name)


@pytest.mark.parametrize("name", NAMES)
def test_what_vanished_is_named(name, monkeypatch):
    remove(name, monkeypatch)
    with pytest.raises(MissingInternalError) as error:
        find(name)
    assert str(error.value) == f"torch {torch.__version__} has no {name.replace(':', '.')}"


def test_a_module_that_vanished_is_named():
    with pytest.raises(MissingInternalError, match=r"has no torch\._gone\.thing"):
        find("torch._gone:thing")


INTERNAL = re.compile(
    r"torch(\.\w+)*\._(?!_)"  # a name with an underscore
    r"|from torch\S* import .*\b_\w|\b_extended_shape|\b_validate_args"
    r"|fx\.experimental|default_generator|\bmkldnn"
)


def test_internals_stand_in_one_file():
    found = {
        f"{path.relative_to(ROOT)}:{number}"
        for path in (ROOT / "vaelab").rglob("*.py")
        if path != Path(torch_internals.__file__)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if INTERNAL.search(line.replace("seed_default_generator", ""))
    }
    assert not found
    assert INTERNAL.search("torch._foreach_mul(a, b)")
    assert INTERNAL.search("from torch.types import _size")


WITHOUT = """
import importlib, pkgutil
import torch
from vaelab.system import torch_internals

def gone(name):
    raise AssertionError(f"{name} is looked up while vaelab is imported")

torch_internals.find = torch_internals.foreach = gone
torch_internals.seed_default_generator = torch_internals.matmul_precision = gone
for name in ("default_generator", *(name for name in dir(torch) if name.startswith("_foreach_"))):
    delattr(torch, name)
del type(torch.backends.mkldnn).matmul
import vaelab
for module in pkgutil.walk_packages(vaelab.__path__, "vaelab."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""


@pytest.mark.thorough(0.4, group="processes of their own")
def test_none_is_needed_to_import_vaelab():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", [name for name in COMPILER if name != JIT_COMPILE])
def test_without_a_part_of_the_compiler_steps_are_eager_and_a_line_names_it(name, monkeypatch):
    def step(images, learning_rate, number):
        images.add_(held)

    said, x, held = list[str](), torch.zeros(3), torch.ones(3)
    for compiler in COMPILER:  # no name may wait until half a minute of compiling is over
        if compiler.startswith("torch._inductor"):
            module, _, attribute = compiler.partition(":")
            monkeypatch.setattr(pkgutil.resolve_name(module), attribute, _not_reached)
    remove(name, monkeypatch)
    take, compiled = choose_step(step, WORK, "always", said.append)
    assert compiled
    for _ in range(2):
        take(x, torch.tensor(0.0), torch.tensor(0))
    assert torch.equal(x, torch.full((3,), 2.0))
    announced, fell_back = said
    assert "compiling" in announced
    assert fell_back.startswith("eager steps: the step cannot be compiled here")
    assert f"has no {name.replace(':', '.')}" in fell_back


def _not_reached(*inputs, **options):
    raise AssertionError("compiled, though it cannot be loaded")


def test_without_the_compiler_of_a_gpu_the_error_names_it(monkeypatch):
    traced = trace(lambda x: x.add_(1), [torch.zeros(3)])
    remove(JIT_COMPILE, monkeypatch)
    with pytest.raises(MissingInternalError, match=r"_inductor\.compile"):
        just_in_time(traced)


def test_without_a_mode_of_the_tracer_the_graph_is_that_of_the_eager_step(monkeypatch):
    maps = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    assert "vaelab.materialised" in graph_of(pixels_innermost, [maps]).code
    remove(PROXY_MODE, monkeypatch)
    graph = graph_of(pixels_innermost, [maps])
    assert "vaelab.materialised" not in graph.code
    assert torch.equal(graph(maps), maps)


def test_without_the_setting_of_onednn_products_are_as_they_are(monkeypatch):
    x = torch.randn(16, 64)
    expected = x @ x.t()
    remove(MATMUL_PRECISION, monkeypatch)
    with at_full_speed(), matmul_precision("bf16"):
        assert torch.equal(x @ x.t(), expected)


@pytest.mark.parametrize("name", ONEDNN)
def test_without_a_layer_of_onednn_a_decoder_keeps_its_own(name, monkeypatch):
    network = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Unflatten(1, (1, 2, 3)))
    decoder = Conditional(network, Bernoulli(), (4,)).eval()
    remove(name, monkeypatch)
    assert not has_onednn_linear(torch.float32)
    fast = inference.for_inference(decoder)
    assert [type(layer) for layer in fast.network] == [nn.Linear, nn.Tanh, nn.Unflatten]
    z = torch.randn(5, 4)
    with torch.no_grad():
        assert torch.equal(fast(z).base_dist.logits, decoder(z).base_dist.logits)


def draws_after_seed(device: str) -> torch.Tensor:
    seed_generator(torch.device(device), 2**62 + 3)
    return torch.cat([torch.randn(7, device=device), torch.rand(3, device=device)])  # 7: one normal of a pair is left


@pytest.mark.parametrize(
    ("device", "name"),
    [
        ("cpu", CPU_GENERATOR),
        pytest.param(
            "cuda",
            CUDA_GENERATORS,
            marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")],
        ),
    ],
)
def test_without_a_generator_by_name_a_seed_gives_the_same_draws(device, name, monkeypatch):
    expected = draws_after_seed(device)
    remove(name, monkeypatch)
    assert torch.equal(draws_after_seed(device), expected)
    assert torch.equal(draws_after_seed(device), expected)


def of_lists(name: str) -> list[torch.Tensor]:
    """What `foreach` gives or leaves behind, for each form of arguments that a step uses."""
    generator = torch.Generator().manual_seed(0)
    lists = [[torch.rand(size, generator=generator) for size in ((), (3,), (2, 5))] for _ in range(3)]
    number, each = torch.tensor(0.3, dtype=torch.float64), [torch.tensor(0.1), torch.tensor([0.2]), torch.tensor(0.3)]
    one, two, three = lists
    for others in {
        "add_": [(1e-8,)],
        "addcmul_": [(two, three), (two, three, 1e-3)],
        "copy_": [(two,)],
        "lerp_": [(two, 0.1)],
        "mul": [(number,), (each,)],
        "mul_": [(0.999,), (number,), (each,)],
        "norm": [(2, torch.float64)],
        "reciprocal_": [()],
        "sqrt": [()],
    }[name]:
        found = foreach(name, tuple(one), *others)
        if not name.endswith("_"):
            one = found
    return list(one)


@pytest.mark.parametrize("name", [name.removeprefix("torch:_foreach_") for name in FOREACH])
def test_without_an_operation_on_lists_it_is_done_one_by_one(name, monkeypatch):
    expected = of_lists(name)
    remove(f"torch:_foreach_{name}", monkeypatch)
    for one, other in zip(of_lists(name), expected, strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)
