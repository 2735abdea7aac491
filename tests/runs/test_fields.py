"""Training by the fields of a Spec, without a Spec."""

from inspect import Parameter, signature
from typing import get_type_hints

import numpy as np
import pytest

import vaelab as vl
from vaelab.runs import train as module
from vaelab.system.errors import SpecError

IMAGES = np.random.default_rng(0).integers(0, 256, (60, 1, 8, 8), np.uint8)


@pytest.fixture
def planned(monkeypatch, tmp_path):
    """What `vl.train` would train, as the user gave it."""
    seen = []
    monkeypatch.setattr(module, "train_blueprint", lambda run, blueprint, *rest: seen.append(blueprint.given))

    def plan(*given, **fields) -> vl.Spec:
        vl.train(*given, out=tmp_path, **fields)
        return seen.pop()

    return plan


def test_every_field_of_a_spec_is_a_keyword_of_the_same_type():
    parameters, types = signature(vl.train).parameters.values(), get_type_hints(vl.train)
    keywords = {each.name: each.default for each in parameters if each.kind is Parameter.KEYWORD_ONLY}
    assert keywords == dict.fromkeys(vl.Spec.model_fields.keys() - {"data"})
    for field, of in vl.Spec.model_fields.items():
        assert types[field] == (of.annotation | None if field != "data" else types["data"])
    assert not {"out", "name", "root", "compile", "device"} & vl.Spec.model_fields.keys()


def test_fields_are_those_of_a_spec(planned):
    fields = {"latent": 8, "network": "mlp:hidden=4", "validation": 0.0, "grey": False, "precision": "bfloat16"}
    assert planned(data="mnist", **fields) == vl.Spec(data="mnist", **fields)
    assert planned() == vl.Spec()
    assert planned(data=IMAGES, latent=8, protocol="levels").latent == 8


def test_fields_replace_those_of_the_spec(planned):
    spec = vl.Spec(data="mnist", latent=8, epochs=3, validation=0.2)
    assert planned(spec, latent=2, validation=0.0) == vl.Spec(data="mnist", latent=2, epochs=3, validation=0)
    assert planned(spec, data="digits").data == "digits"
    assert planned(spec) == spec


def test_fields_are_checked_with_those_of_the_spec(planned):
    with pytest.raises(SpecError, match="patience = 2 with validation = 0"):
        planned(vl.Spec(validation=0), patience=2)
