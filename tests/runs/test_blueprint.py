"""A Spec is read once: into a Blueprint, from which everything else is built."""

import json
import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
import torch

from vaelab.cli.main import main
from vaelab.objectives import OBJECTIVES
from vaelab.parts.names import resolve
from vaelab.posteriors import InverseAutoregressiveFlow
from vaelab.runs.blueprint import TABLES, blueprint_of
from vaelab.runs.build import build_model
from vaelab.runs.compatibility import check
from vaelab.runs.directory import Run
from vaelab.runs.spec import Spec
from vaelab.runs.train import train
from vaelab.system.errors import SpecError
from vaelab.training.callback import SILENT

TINY = Spec(data="digits", latent=2, network="mlp:hidden=8", epochs=1, nll_samples=2)


def watched(work: Callable[[], Any], saw: Callable[[FrameType], None]) -> Any:
    """Do `work` and hand each of its calls of a Python function to `saw`."""
    before = sys.getprofile()
    sys.setprofile(lambda frame, event, _: saw(frame) if event == "call" else None)
    try:
        return work()
    finally:
        sys.setprofile(before)


def resolved(work: Callable[[], Any]) -> tuple[Any, Counter[tuple[str, str]]]:
    """What `work` returns, and how often it resolved each text of each kind of part."""
    found = Counter[tuple[str, str]]()

    def saw(frame: FrameType) -> None:
        if frame.f_code is resolve.__code__:
            found[frame.f_locals["kind"], frame.f_locals["text"]] += 1

    return watched(work, saw), found


def arguments(frame: FrameType) -> list[Any]:
    code = frame.f_code
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return [frame.f_locals.get(name) for name in names if name != "self"]


def module_of(frame: FrameType | None) -> str:
    """The module of vaelab that a call is in, or was made by; "" for none."""
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name.startswith("vaelab."):
            return name
        frame = frame.f_back
    return ""


def room_of(module: str) -> str:
    return ".".join(module.split(".")[:2])


def test_a_training_resolves_each_part_once(tmp_path):
    run, found = resolved(lambda: train(TINY, tmp_path, compile="never", callback=SILENT))
    assert run.done
    assert set(found.values()) == {1}
    assert Counter(kind for kind, _ in found) == Counter([*TABLES, *["metric"] * 3])
    assert not resolved(lambda: (run.blueprint, run.model(), run.data()))[1]


def test_a_directory_is_read_once(tmp_path):
    trained = train(TINY, tmp_path, compile="never", callback=SILENT)
    run = Run(trained.path)
    _, found = resolved(lambda: (run.blueprint, run.model(), run.data(), run.blueprint))
    assert set(found.values()) == {1}
    assert set(dict(found)) == {(kind, getattr(run.spec, kind)) for kind in TABLES}
    other = run.spec.model_copy(update={"prior": "normal"})
    (run.path / "spec.json").write_text(other.canonical_json())
    assert run.blueprint.prior.text == "normal"


def test_a_refit_prior_is_resolved_once():
    found = resolved(lambda: check(blueprint_of(TINY.model_copy(update={"refit": "mixture:components=3"}))))[1]
    assert set(found.values()) == {1}
    assert ("prior", "mixture:components=3") in found
    assert ("prior", "standard") in found


def test_a_spec_on_its_way_to_a_result_enters_no_room_more_than_twice(tmp_path):
    """A room is entered by a call from another one that hands a Spec over; so is a module of `vaelab.runs`."""
    rooms, modules = Counter[str](), Counter[str]()

    def saw(frame: FrameType) -> None:
        to = frame.f_globals.get("__name__", "")
        if to.startswith("vaelab.") and any(isinstance(argument, Spec) for argument in arguments(frame)):
            by = module_of(frame.f_back)
            rooms[room_of(to)] += room_of(to) != room_of(by)
            modules[to] += to != by

    small = ["--latent", "2", "--network", "mlp:hidden=8", "--epochs", "1", "--nll-samples", "2"]
    watched(lambda: main(["train", *small, "--compile", "never", "--out", str(tmp_path)]), saw)
    assert len(list(tmp_path.glob("*/result.json"))) == 1
    assert set(rooms) == {"vaelab.cli", "vaelab.runs", "vaelab.training"}
    assert max(rooms.values()) <= 2
    assert modules["vaelab.runs.blueprint"] == 1
    assert not {"vaelab.runs.build", "vaelab.runs.compatibility"} & set(modules)


def test_a_blueprint_spells_out_what_its_spec_leaves_open():
    blueprint = blueprint_of(Spec(data="digits", posterior="flow", refit="normal"))
    assert blueprint.given.likelihood == ""
    assert (blueprint.spec.likelihood, blueprint.spec.protocol) == ("bernoulli", "binary-dynamic")
    assert blueprint.spec.posterior == blueprint.posterior.text != "flow"
    assert (blueprint.source.name, blueprint.protocol.name) == ("digits", "binary-dynamic")
    assert blueprint.refit is not None
    assert blueprint.refit.kind == "prior"
    assert blueprint_of(blueprint.spec).spec == blueprint.spec
    assert json.loads(blueprint.spec.canonical_json())["refit"] == "normal"


def test_two_models_of_one_blueprint_share_nothing():
    """A head has weights of its own, such as a shared sigma: they are made anew with each model."""
    blueprint = blueprint_of(Spec(protocol="8bit", likelihood="gaussian:sigma=shared", network="mlp:hidden=8"))
    one, two = (build_model(blueprint, (1, 8, 8)) for _ in range(2))
    ours, theirs = dict(one.named_parameters()), dict(two.named_parameters())
    assert any("likelihood.head" in name for name in ours)
    for name in ours:
        assert ours[name] is not theirs[name], name
        assert torch.equal(ours[name], theirs[name]), name


def test_reading_and_building_leave_the_random_numbers_of_torch_as_they_are():
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    spec = Spec(prior="flow", posterior="flow", refit="flow", objective="iwae", network="mlp:hidden=8")
    blueprint = blueprint_of(spec)
    check(blueprint)
    build_model(blueprint, (1, 8, 8))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_every_objective_declares_whether_it_admits_a_point():
    assert {name for name, entry in OBJECTIVES.items() if entry.admits_point} == {"elbo", "commitment"}
    codes = Spec(posterior="codes", prior="codes", network="conv:channels=4,4", latent=4)
    for name, entry in OBJECTIVES.items():
        blueprint = blueprint_of(codes.model_copy(update={"objective": name}))
        if entry.admits_point:
            check(blueprint)
            continue
        with pytest.raises(SpecError, match=f"objective {name} with .* expected elbo or commitment"):
            check(blueprint)


def inverting(latent: int) -> InverseAutoregressiveFlow:
    return InverseAutoregressiveFlow(latent)


def silent(latent: int):
    return InverseAutoregressiveFlow(latent)


def test_what_a_function_makes_declares_for_it():
    def inverts(function: Callable[..., Any]) -> bool:
        return resolve("posterior", {"own": function}, "own").declared("inverts")

    assert (inverts(inverting), inverts(silent)) == (True, False)
    models = {name: blueprint_of(Spec(model=name)).hierarchical for name in TABLES["model"]}
    assert models == {"vae": False, "ladder": True}
