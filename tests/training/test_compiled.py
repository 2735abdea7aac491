import shutil

import pytest
import torch

from vaelab.assemble import build_model, build_objective
from vaelab.data.protocol import protocol
from vaelab.spec import Spec
from vaelab.training.compiled import choose_step, step_flops
from vaelab.training.step import State, make_step

SPECS = {
    "mnist": Spec(protocol="binary-dynamic", clip_norm=50, ema_decay=0.9, network="mlp:hidden=300"),
    "small": Spec(protocol="binary-dynamic", latent=3, network="mlp:hidden=16", objective="iwae:samples=2"),
    "conv": Spec(protocol="8bit", latent=5, likelihood="gaussian:sigma=pixel", network="conv:channels=4,8"),
}


def after(spec: Spec, steps: int, compile) -> tuple[torch.nn.Module, State]:
    """A model and its state after some steps on images made here."""
    side = 8 if spec.latent == 3 else 28
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (300, 1, side, side), dtype=torch.uint8, generator=generator)
    images[:, :, : side // 2] = 0  # something to learn
    model = build_model(spec, (1, side, side))
    state = State.start(model, spec)
    plain = make_step(model, build_objective(spec), images, protocol(spec.protocol).pixels, state, spec, 0.0)
    said = []
    step = choose_step(plain, steps, 0, compile, said.append)
    for t in range(steps):
        torch.manual_seed(t)
        step((torch.arange(100) + 7 * t) % 300, torch.tensor(1e-3), torch.tensor(t))
    assert len(said) == 1, said  # or eager steps are compared with eager ones
    return model, state


@pytest.mark.skipif(shutil.which("g++") is None and shutil.which("c++") is None, reason="no compiler to test with")
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch's own, as it compiles: an error falls back
@pytest.mark.parametrize("name", SPECS)
def test_compiled_equals_eager(name):
    """All that a step changes, to rounding, while rounding has not had the steps to grow."""
    steps = 60
    (one, eager), (two, compiled) = after(SPECS[name], steps, "never"), after(SPECS[name], steps, "always")
    start, _ = after(SPECS[name], 0, "never")
    moved = sum((p - q).abs().sum() for p, q in zip(one.parameters(), start.parameters(), strict=True))
    apart = sum((p - q).abs().sum() for p, q in zip(one.parameters(), two.parameters(), strict=True))
    assert apart < 1e-3 * moved
    for kind in ("mean", "square", "average"):
        for a, b in zip(getattr(eager, kind), getattr(compiled, kind), strict=True):
            torch.testing.assert_close(a, b, rtol=0.02, atol=2e-3 * a.abs().max().item())
    torch.testing.assert_close(eager.meters.moments, compiled.meters.moments, rtol=1e-4, atol=0)
    assert torch.equal(eager.meters.bad_step, compiled.meters.bad_step)


def test_the_work_of_a_step_is_counted_from_the_shapes():
    model = build_model(Spec(latent=20, network="mlp:hidden=500"), (1, 28, 28))
    weights = 784 * 500 + 500 * 40 + 20 * 500 + 500 * 784
    before = torch.get_rng_state()
    assert step_flops(model, batch=100) == 3 * 100 * 2 * weights
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("steps", "flops", "compile", "compiled"),
    [
        (18_000, 5e8, "auto", True),  # MNIST, 30 epochs
        (1_200, 5e8, "auto", False),
        (2_430, 2.2e9, "auto", True),  # SVHN slice, 300 epochs
        (324, 2.2e9, "auto", False),
        (10, 1e6, "always", True),
        (10**6, 1e9, "never", False),
    ],
)
def test_compiling_is_decided_by_the_work_ahead_and_said(steps, flops, compile, compiled):
    said = []

    def step(indices, learning_rate, number):
        pass

    chosen = choose_step(step, steps, int(flops), compile, said.append)
    assert (chosen is not step) == compiled
    assert len(said) == 1
    assert said[0].startswith("compiling" if compiled else "eager steps")
