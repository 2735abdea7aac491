"""Rounded weights: small, and right in a real browser."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import vaelab as vl
from vaelab.data.protocol import protocol
from vaelab.explorer import rounding
from vaelab.explorer.functions import Function, function_of
from vaelab.explorer.pack import Pack, in_letters
from vaelab.explorer.passes import passes_of
from vaelab.explorer.rounding import Layer, Pass, Rounded, in_steps, rounded
from vaelab.runs.directory import Run
from vaelab.serving.latents import encode
from vaelab.serving.sample import sample


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Run:
    return vl.train(
        data="digits", latent=4, epochs=20, network="mlp:hidden=300", out=tmp_path_factory.mktemp("runs"),
        name="digits", compile="never", callback=vl.SILENT,
    )  # fmt: skip


@pytest.fixture(scope="module")
def passes(trained) -> list[Pass]:
    model, images = trained.served, trained.data().test
    return passes_of(model, images, encode(model, images), torch.from_numpy(sample(model, 100).z))


def layer_of(x: torch.Tensor, weight: torch.Tensor) -> Layer:
    linear = nn.Linear(weight.shape[1], weight.shape[0])
    linear.weight.data = weight
    seen = rounding._Seen(linear)
    seen.add(x, torch.ones(len(x), len(weight)))
    return seen.layer(linear)


def test_the_error_of_a_column_is_made_up_for_in_others():
    torch.manual_seed(0)
    x = torch.randn(1000, 6) @ torch.randn(6, 200)  # inputs that tell much of each other
    weight = 0.1 * torch.randn(50, 200)
    found = layer_of(x, weight).rounded(0.01)
    nearest = in_steps(weight.numpy(), found.rows, found.columns)
    ours, theirs = (np.square((each.values - weight.numpy()) @ x.numpy().T).mean() for each in (found, nearest))
    assert ours < 0.1 * theirs


def test_outputs_stay_within_what_is_allowed(trained, passes):
    model = trained.served
    made, weights = rounded(model, passes)
    assert {weight.numbers.shape for weight in weights} == {(300, 64), (64, 300)}
    with torch.no_grad():
        errors = [rounding._error(each, made, model) for each in passes]
    assert min(errors) > 0.3
    assert max(errors) <= 1
    assert sum(weight.numbers.size for weight in weights) * 2 > 1.5 * sum(len(stored(weight)) for weight in weights)


def stored(weight: Rounded) -> str:
    pack = Pack()
    pack.steps(weight)
    return pack.packed()[0]


def test_weights_stay_as_they_are_where_rounding_cannot_be_exact_enough(trained, passes):
    exact = [replace(each, outputs=lambda *given, own=each.outputs: _magnified(own(*given))) for each in passes]
    made, weights = rounded(trained.served, exact)
    assert weights == []
    for own, theirs in zip(made.parameters(), trained.served.parameters(), strict=True):
        torch.testing.assert_close(own, theirs, rtol=0, atol=0)


def _magnified(outputs):
    return {name: 1e6 * of for name, of in outputs.items()}


@pytest.mark.thorough(0.5)
@pytest.mark.parametrize("name", ["decode", "bound"])
def test_rounded_weights_in_a_browser_give_the_numbers_of_torch(run_in_page, trained, passes, name):
    """Of 20 test images: means within 0.001, nats within 0.1."""
    model, images = trained.served, trained.data().test
    made, weights = rounded(model, passes)
    latents = encode(model, images)
    x = protocol("binary-threshold").pixels(torch.from_numpy(np.array(images.images)))
    function, exact = function_of(made, name), function_of(model, name)
    for i in range(20):
        inputs = {"z": torch.from_numpy(latents.mean[i : i + 1])} if name == "decode" else {"image": x[i : i + 1]}
        noise = [torch.full(draw.shape, 0.3) for draw in exact.draws]
        wanted = ["mean"] if name == "decode" else ["rate", "distortion"]
        found = run_in_page(function, inputs, noise, wanted, weights)
        with torch.no_grad():
            right = exact.module(*inputs.values(), *noise)
        for key in wanted:
            assert np.abs(found[key] - right[key].flatten().numpy()).max() <= rounding.WITHIN[key]


class _Constant(nn.Module):
    def __init__(self, values: torch.Tensor) -> None:
        super().__init__()
        self.values = nn.Parameter(values)

    def forward(self, x):
        return {"y": self.values + x}


@pytest.mark.parametrize("largest", [0, 3, 100, 300, 5000, 32000])
def test_a_browser_reads_the_numbers_that_python_wrote(run_in_page, largest):
    rng = np.random.default_rng(largest)
    rows, columns = (rng.integers(-60, 20, size).astype(np.int8) for size in (30, 17))
    weight = Rounded(rng.integers(-largest, largest + 1, (30, 17)).astype(np.int32), rows, columns)
    function = Function("f", _Constant(torch.from_numpy(weight.values)).eval(), {"x": torch.zeros(1)}, ())
    found = run_in_page(function, function.inputs, [], ["y"], [weight])
    np.testing.assert_array_equal(found["y"].astype(np.float32), weight.values.reshape(-1))


def test_letters_are_none_that_html_changes():
    content = np.random.default_rng(0).bytes(100_000)
    written = in_letters(content)
    assert not set(written) & set("\0\r<")
    assert len(written.encode()) < 1.18 * len(content)
