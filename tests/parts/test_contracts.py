"""Every built-in part keeps the contract of its kind; what a part may have besides is asked for in one way."""

import inspect
import re
from pathlib import Path

import pytest
import torch
from torch import nn

import vaelab
from vaelab.evaluation.measures import METRICS
from vaelab.figures import FIGURES, needs_data
from vaelab.likelihoods import LIKELIHOODS
from vaelab.models import VAE
from vaelab.models.hierarchical import Ladder
from vaelab.networks import NETWORKS
from vaelab.objectives import OBJECTIVES
from vaelab.parts import capabilities
from vaelab.parts.capabilities import (
    ATTRIBUTES,
    Calibrated,
    HasCodebooks,
    HasHead,
    HasLatentGrid,
    declared,
    has,
    head_of,
    members,
    methods,
    modules_with,
)
from vaelab.parts.contracts import CONTRACTS, LikelihoodHead, Model, Source
from vaelab.posteriors import POSTERIORS, VectorQuantised
from vaelab.priors import PRIORS, UniformOnCodes
from vaelab.system.errors import SpecError

TABLES = {
    "prior": PRIORS,
    "posterior": POSTERIORS,
    "likelihood": LIKELIHOODS,
    "network": NETWORKS,
    "objective": OBJECTIVES,
    "metric": METRICS,
}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, table in TABLES.items() for name in table])
def test_the_class_of_a_part_has_the_methods_of_its_contract(kind, name):
    made = TABLES[kind][name]
    assert [method for method in methods(CONTRACTS[kind]) if not hasattr(made, method)] == []


@pytest.mark.parametrize("model", [VAE, Ladder])
def test_a_model_has_the_methods_of_its_contract(model):
    assert [member for member in members(Model) if not hasattr(model, member)] == []


def test_what_a_contract_asks_for():
    assert members(LikelihoodHead) == ("parameter_shape", "__call__", "protocols", "admitted")
    assert methods(LikelihoodHead) == ("parameter_shape", "__call__")
    assert members(Source) == ("protocol", "read")


def test_figures_without_data_are_those_whose_data_may_be_left_out():
    assert [kind for kind, picture in FIGURES.items() if not needs_data(picture)] == ["manifold", "samples"]


class Holder(nn.Module):
    """What it has stands among its submodules and buffers, where `isinstance` of a Protocol does not look."""

    def __init__(self):
        super().__init__()
        self.head = nn.Identity()
        self.books = nn.ModuleList()
        self.register_buffer("latent_grid", torch.zeros(4))


class Counts(nn.Module):
    def calibrate(self, batches):
        pass


def test_submodules_and_buffers_are_members():
    assert has(Holder(), HasHead)
    assert has(Holder(), HasCodebooks)
    assert has(Holder(), HasLatentGrid)
    assert not has(nn.Linear(1, 1), HasHead)
    assert head_of(holder := Holder()) is holder.head
    assert head_of(linear := nn.Linear(1, 1)) is linear


def test_modules_with_a_capability_come_in_order():
    model = nn.Sequential(Counts(), nn.Linear(1, 1), nn.Sequential(Counts()))
    assert list(modules_with(model, Calibrated)) == [model[0], model[2][0]]


def test_an_attribute_has_a_default():
    assert declared(VectorQuantised, "support") == "codes"
    assert declared(nn.Linear(1, 1), "support") == "real"
    with pytest.raises(KeyError):
        declared(VectorQuantised, "sigma")


def test_a_prior_over_codes_names_what_the_posterior_lacks():
    q = vaelab.Conditional(nn.Linear(4, 4), vaelab.DiagonalGaussian(), (1, 2, 2))
    with pytest.raises(
        SpecError, match="posterior DiagonalGaussian, which has no codebooks; expected one that has lat"
    ):
        UniformOnCodes(q)


def test_parts_are_asked_for_what_they_have_in_one_way():
    """No `getattr` or `hasattr` by a name that a capability or attribute stands for, outside of their page."""
    own = [value for value in vars(capabilities).values() if getattr(value, "__module__", "") == capabilities.__name__]
    protocols = [value for value in own if getattr(value, "_is_protocol", False)]
    names = {name for protocol in protocols for name in members(protocol)} | ATTRIBUTES.keys() | set(members(Model))
    asked = re.compile(r'(?:get|has|set)attr\([^"\n]*"(\w+)"')
    root = Path(vaelab.__file__).parent
    for path in root.rglob("*.py"):
        if path != Path(inspect.getfile(capabilities)):
            assert not names & set(asked.findall(path.read_text())), path
