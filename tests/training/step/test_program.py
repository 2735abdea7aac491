import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException

from tests.training.step.test_compiled import needs_compiler
from vaelab.training.step import program as module
from vaelab.training.step.program import just_in_time, program, trace

X = torch.arange(6.0).view(2, 3)


def step_of(weight: torch.Tensor, factor: float = 2.0):
    """A step with one tensor that it changes, and a constant that is made in it."""

    def step(x: torch.Tensor) -> None:
        loss = (factor * weight * x + torch.tensor([1.0, 2.0, 3.0])).square().sum()
        (gradient,) = torch.autograd.grad(loss, [weight])
        with torch.no_grad():
            weight.sub_(gradient, alpha=0.01)

    return step


def weights() -> torch.Tensor:
    return torch.tensor([0.5, -1.0, 2.0], requires_grad=True)


def test_a_step_that_is_traced_computes_nothing():
    weight, state = weights(), torch.get_rng_state()
    trace(step_of(weight), [X])
    trace(lambda x: weight.data.add_(torch.rand(3) + torch.nn.functional.dropout(x).sum()), [X])
    assert torch.equal(weight, weights())
    assert torch.equal(torch.get_rng_state(), state)


def test_a_program_is_named_after_what_it_computes(monkeypatch):
    def name(weight=None, factor=2.0, x=X):
        return trace(step_of(weights() if weight is None else weight, factor), [x]).name

    same = name()
    assert name() == same
    assert name(torch.ones(3, requires_grad=True)) == same  # values are given at each call
    assert name(x=X + 1) == same
    other = [name(factor=2.0000001), name(x=X.double()), name(x=torch.ones(4, 3)), name(x=X.t().contiguous().t())]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    other.append(name())
    monkeypatch.undo()
    monkeypatch.setattr(module, "_processor", lambda: "another one")
    other.append(name())
    monkeypatch.undo()
    monkeypatch.setattr(module, "OPTIONS", {})
    other.append(name())
    assert len({same, *other}) == 1 + len(other)


def after(make, steps: int = 3) -> torch.Tensor:
    """The weights after some steps by `make(step)`; they are changed between two of them too."""
    weight = weights()
    take = make(step_of(weight))
    for t in range(steps):
        take(X + t)
        with torch.no_grad():
            weight.mul_(0.9)  # as a resumed run or a moving average does
    return weight


@pytest.mark.thorough(0.08, group="compiled")
@needs_compiler
def test_a_program_does_what_the_step_does_with_what_it_holds_by_then(tmp_path):
    eager = after(lambda step: step)
    torch.testing.assert_close(after(lambda step: program(step, [X], tmp_path, print)), eager)
    torch.testing.assert_close(after(lambda step: program(step, [X], None, print)), eager)


@pytest.mark.thorough(0.08, group="compiled")
@needs_compiler
def test_a_step_that_is_called_from_python_is_the_same_one():
    """What a GPU is given, here on a processor."""

    def make(step):
        traced = trace(step, [X])
        run = just_in_time(traced)
        return lambda *inputs: run([*traced.held, *inputs])

    torch.testing.assert_close(after(make), after(lambda step: step))


@pytest.mark.thorough(0.08, group="compiled")
@needs_compiler
def test_what_is_kept_is_built_once_and_needs_no_compiler(tmp_path, monkeypatch):
    built = []
    build = module._build
    monkeypatch.setattr(module, "_build", lambda traced, kept: (built.append(kept), build(traced, kept)))
    first = after(lambda step: program(step, [X], tmp_path, print))
    (kept,) = tmp_path.iterdir()
    assert built == [kept]
    monkeypatch.setenv("CXX", "/nonexistent/c++")
    assert torch.equal(after(lambda step: program(step, [X], tmp_path, print)), first)
    assert built == [kept]
    monkeypatch.undo()
    kept.write_bytes(kept.read_bytes()[:1000])  # damaged: made again, and said
    said: list[str] = []
    assert torch.equal(after(lambda step: program(step, [X], tmp_path, said.append)), first)
    assert "is damaged: the step is compiled again" in said[0]
    assert list(tmp_path.iterdir()) == [kept]


def test_a_step_that_asks_for_a_value_is_no_program():
    with pytest.raises(DataDependentOutputException):
        trace(lambda x: x.mul_(x.sum().item()), [X])


def test_a_step_that_cannot_be_given_all_it_holds_is_no_program():
    whole = torch.zeros(4)
    part = whole[:2]
    with pytest.raises(ValueError, match="the same memory"):
        trace(lambda x: whole.add_(part.sum()), [X])


@pytest.mark.thorough(0.08, group="compiled")
@needs_compiler
def test_a_program_is_for_inputs_of_one_form():
    weight = weights()
    take = program(step_of(weight), [X], None, print)
    for other in (X[:1], X.double(), X.t().contiguous().t()):
        with pytest.raises(ValueError, match="received"):
            take(other)
    assert torch.equal(weight, weights())


@pytest.mark.thorough(0.08, group="compiled")
@needs_compiler
def test_a_program_of_another_process_is_found_again(tmp_path):
    script = (
        "import sys\nfrom pathlib import Path\n"
        "import torch\ntorch.set_num_threads(1)\n"
        "from tests.training.step.test_program import *\n"
        "module._build = None if len(sys.argv) > 2 else module._build\n"
        "print(after(lambda step: program(step, [X], Path(sys.argv[1]), print)).tolist())\n"
    )
    said = []
    for more in ([], ["found"]):
        command = [sys.executable, "-c", script, str(tmp_path), *more]
        environment = {**os.environ, "PYTHONPATH": "."}
        done = subprocess.run(
            command, text=True, capture_output=True, cwd=Path(__file__).parents[3], env=environment, check=False
        )
        assert done.returncode == 0, done.stderr
        said.append(done.stdout)
    assert said[0] == said[1]
