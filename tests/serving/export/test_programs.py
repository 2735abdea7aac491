"""Every network, likelihood and posterior as ONNX and as a torch.export program, or refused with the reason."""

import io
from dataclasses import replace
from itertools import product

import numpy as np
import onnx as onnx_package
import onnxruntime
import pytest
import torch
from torch import nn
from torch.distributions import Categorical, Distribution

from tests.built import build_model
from vaelab.distributions.flow import through
from vaelab.figures.model_calls import seeded_model
from vaelab.likelihoods import LIKELIHOODS
from vaelab.models import VAE, Conditional
from vaelab.networks import NETWORKS
from vaelab.posteriors import POSTERIORS
from vaelab.priors import StandardNormal
from vaelab.runs.spec import Spec
from vaelab.serving.export import programs
from vaelab.serving.export.graphs import Graph, graphs_of
from vaelab.system.errors import SpecError

SHAPE = (2, 6, 5)
SMALL = {
    "mlp": "mlp:hidden=6", "conv": "conv:channels=3,4:activation=tanh", "article-conv": "article-conv:maps=2:hidden=6",
    "residual": "residual:channels=4:groups=2", "flow": "flow:transforms=2:hidden=6:context=2",
    "codes": "codes:size=4:levels=2:halvings=1",
}  # fmt: skip
OPTIONS = {  # of likelihoods, in addition to the defaults
    "gaussian": ("sigma=pixel:mean=free", "sigma=optimal", "sigma=0.1"), "laplace": ("scale=pixel",),
    "beta": ("concentration=pixel",), "discretised-gaussian": ("sigma=pixel", "sigma=0.002"),
    "logistic": ("components=3:scale=pixel", "components=2:channels=coupled", "channels=coupled"),
}  # fmt: skip
EVERY = [*LIKELIHOODS, *(f"{name}:{options}" for name in OPTIONS for options in OPTIONS[name])]
PRIORS = {"von-mises-fisher": "sphere", "codes": "codes"}


def model_of(shape=SHAPE, **fields: str) -> VAE:
    spec = Spec(**{"data": "npz:x.npz", "latent": 3, "network": SMALL["mlp"], "likelihood": "bernoulli", **fields})
    model = build_model(spec, shape, np.array([2, 4, 4, 7])).eval()
    with torch.no_grad(), torch.random.fork_rng():  # away from the constants that some parts start with
        torch.manual_seed(0)
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape)
    return model


def exported(model: VAE, name: str) -> tuple[Graph, bytes]:
    """The encoder or the decoder, and its ONNX file, after checks."""
    with torch.no_grad(), seeded_model(model, 0):
        graph = {graph.name: graph for graph in graphs_of(model)}[name]
        program = programs.traced(graph)
        content, difference = programs.onnx(graph, program, "1.2.3")
        assert max(difference, programs.pt2(graph, program)[1]) <= 1e-5
        session = onnxruntime.InferenceSession(content)
        given = graph.batch(5)  # once more, with a batch of another size and without the function that the export uses
        found = session.run(list(graph.outputs), {name: tensor.numpy() for name, tensor in given.items()})
        for (output, expected), value in zip(graph.module(*given.values()).items(), found, strict=True):
            assert value.shape == (5, *graph.outputs[output].shape)
            np.testing.assert_allclose(value, expected.numpy(), rtol=1e-5, atol=1e-5)
    nodes = onnx_package.load(io.BytesIO(content)).graph.node
    assert not any("Random" in node.op_type for node in nodes)
    return graph, content


@pytest.mark.thorough(0.03)
@pytest.mark.parametrize(("network", "likelihood"), list(product(NETWORKS, EVERY)))
def test_decoder_of_network_and_likelihood(network, likelihood):
    graph, _ = exported(model_of(network=SMALL[network], likelihood=likelihood), "decoder")
    assert graph.outputs["mean"].shape == SHAPE
    assert len(graph.outputs) > 1


@pytest.mark.thorough(0.2)
@pytest.mark.parametrize("network", NETWORKS)
def test_encoder_of_network(network):
    graph, _ = exported(model_of(network=SMALL[network]), "encoder")
    assert graph.outputs.keys() == {"mean", "scale"}


@pytest.mark.thorough(0.2)
@pytest.mark.parametrize("posterior", POSTERIORS)
def test_encoder_of_posterior(posterior):
    model = model_of(posterior=SMALL.get(posterior, posterior), prior=PRIORS.get(posterior, "standard"))
    graph, _ = exported(model, "encoder")
    assert graph.inputs.keys() == {"image", *(["noise"] if posterior == "flow" else [])}


@pytest.mark.thorough(0.5)
@pytest.mark.parametrize("network", ["mlp:hidden=6,5", "residual:channels=4,8:groups=2"])
def test_ladder(network):
    model = model_of(model="ladder:groups=2", network=network)
    encoder, _ = exported(model, "encoder")
    z = encoder.module(torch.rand(2, *SHAPE), torch.zeros(2, model.latent))
    assert torch.equal(z["z"], z["mean"])
    exported(model, "decoder")


def test_the_noise_of_a_flow_gives_the_draws_of_the_posterior():
    model = model_of(posterior=SMALL["flow"])
    x, noise = torch.rand(4, *SHAPE), torch.randn(4, 3)
    with torch.no_grad():
        (encoder, _) = graphs_of(model)
        q = model.posterior(x)
        found = encoder.module(x, noise)
        e = found["base_mean"] + found["base_scale"] * noise
        z, log_det = through(q.transforms, e)
        assert torch.equal(z, found["z"])
        assert torch.allclose(q.log_prob(found["z"]), q.base.log_prob(e) - log_det, atol=1e-4)


def test_codes_have_their_numbers():
    model = model_of(posterior=SMALL["codes"], prior="codes", network=SMALL["conv"])
    x = torch.rand(4, *SHAPE)
    with torch.no_grad():
        found = graphs_of(model)[0].module(x)
        assert torch.equal(found["mean"], model.posterior(x).mean)
        assert torch.equal(model.prior().write(found["codes"]), found["mean"])


def test_means_of_narrow_mixtures_far_apart_agree():
    model = model_of(likelihood="logistic:components=3:scale=pixel")
    with torch.no_grad():
        for parameter in model.likelihood.network.parameters():
            parameter *= 8
    exported(model, "decoder")


def test_coupled_channels_of_one_channel():
    graph, _ = exported(model_of((1, 6, 5), likelihood="logistic:components=2:channels=coupled"), "decoder")
    assert "coefficients" not in graph.outputs


def test_a_label_that_no_training_image_had_is_an_error(capfd):
    graph, content = exported(model_of(condition="labels"), "decoder")
    session = onnxruntime.InferenceSession(content)
    given = {name: tensor.numpy() for name, tensor in graph.batch(3).items()}
    assert set(given["label"]) <= {2, 4, 7}
    session.run(None, given)
    with pytest.raises(Exception, match="invalid index"):
        session.run(None, {**given, "label": np.array([2, 3, 4])})


def test_the_label_of_the_encoder_is_that_of_the_model():
    model = model_of(condition="labels", posterior=SMALL["flow"])
    graph, _ = exported(model, "encoder")
    assert list(graph.inputs) == ["image", "label", "noise"]
    x, label, noise = torch.rand(3, *SHAPE), torch.tensor([7, 2, 4]), torch.randn(3, 3)
    with torch.no_grad():
        expected = model.given(label).posterior(x).base.mean
        assert torch.equal(graph.module(x, label, noise)["base_mean"], expected)
        assert not torch.equal(graph.module(x, label.flip(0), noise)["base_mean"], expected)


def test_a_file_names_no_path_and_no_operation_of_vaelab():
    """The logistic likelihood has an operation of vaelab in training, which nobody else can read."""
    model = model_of(likelihood="logistic", network=SMALL["conv"])
    with torch.no_grad(), seeded_model(model, 0):
        graph = graphs_of(model)[1]
        program = programs.traced(graph)
        contents = [programs.onnx(graph, program, "1.2.3")[0], programs.pt2(graph, program)[0]]
    for content in contents:
        assert b"/vaelab/" not in content
        assert b"materialised" not in content
        assert b"stack_trace" not in content
    read = onnx_package.load(io.BytesIO(contents[0]))
    onnx_package.checker.check_model(read, full_check=True)
    assert (read.producer_name, read.producer_version) == ("vaelab", "1.2.3")
    assert [d.dim_param or d.dim_value for d in read.graph.input[0].type.tensor_type.shape.dim] == ["batch", 3]


class _Branching(nn.Module):
    """A module whose operations depend on the values of the image."""

    def forward(self, *tensors):
        x = tensors[0].flatten(1)
        return {"mean": x if x.sum() > 0 else -x}


class Unnamed(Distribution):
    def __init__(self, logits):
        self.inner = Categorical(logits=logits)
        super().__init__(logits.shape[:-1], validate_args=False)

    arg_constraints = {}  # noqa: RUF012

    @property
    def mean(self):
        raise NotImplementedError


class UnnamedHead(nn.Module):
    def parameter_shape(self, event_shape):
        return (6,)

    def forward(self, parameters):
        return Unnamed(parameters)


def test_a_network_that_cannot_be_traced_is_refused_with_the_reason():
    encoder = graphs_of(model_of())[0]
    with (
        pytest.raises(SpecError, match=r"encoder \(Normal\) has no form in torch.export \(") as caught,
        torch.no_grad(),
    ):
        programs.traced(replace(encoder, module=_Branching()))
    assert "\n" not in str(caught.value)


def test_a_distribution_without_parameters_is_refused():
    network = nn.Sequential(nn.Flatten(), nn.Linear(60, 6))
    with pytest.raises(SpecError, match="Unnamed, whose class names no parameters"):
        graphs_of(VAE(StandardNormal(3), Conditional(network, UnnamedHead(), SHAPE), model_of().likelihood))


def test_an_output_that_differs_is_refused():
    with torch.no_grad():
        graph = graphs_of(model_of())[0]

        def call(change):
            return lambda given: {name: change(value) for name, value in graph.module(*given.values()).items()}

        assert programs.largest_difference(graph, "it", call(lambda value: value)) == 0
        wrong = {
            "differs from torch by 2.0e-05 in mean": lambda value: value + 2e-5 * value.abs().max().clamp(min=1),
            "differs from torch by nan in mean": lambda value: value * torch.nan,
            "of shape (1, 1, 3)": lambda value: value.unsqueeze(0),
            "torch.float64": lambda value: value.double(),
        }
        for words, change in wrong.items():
            with pytest.raises(SpecError) as caught:
                programs.largest_difference(graph, "it", call(change))
            assert words in str(caught.value)
        with pytest.raises(SpecError, match="it gives scale"):
            programs.largest_difference(graph, "it", lambda given: {"scale": graph.module(*given.values())["scale"]})


def test_without_its_packages_onnx_is_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(programs, "find_spec", lambda name: None if name == "onnxscript" else object())
    with pytest.raises(SpecError) as caught:
        programs.check_packages()
    assert str(caught.value) == (
        "no package onnxscript, which ONNX files need; expected these packages, or another format; "
        "run `pip install 'vaelab[export]'`, or add --formats pt2"
    )
