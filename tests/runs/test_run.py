"""Runs: what a directory holds, and what happens to one that is not as it should be."""

import json
import re
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from tests.built import build_model, completed
from tests.thorough import each_value
from vaelab.data import PROTOCOLS
from vaelab.evaluation.likelihood.likelihood import estimate_bounds
from vaelab.likelihoods import LIKELIHOODS
from vaelab.runs.blueprint import blueprint_of
from vaelab.runs.compatibility import check_protocol
from vaelab.runs.directory import Run
from vaelab.runs.evaluate import EVALUATION_SEED
from vaelab.runs.spec import ADDED, Spec
from vaelab.runs.train import default_name, train
from vaelab.system.errors import RunError, SpecError
from vaelab.system.files import only_writer
from vaelab.training.callback import Callback

TANH = "mlp:activation=tanh"  # the default when these runs were named
TINY = Spec(data="digits", latent=2, network="mlp:hidden=8", epochs=1, nll_samples=5)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return train(TINY, tmp_path_factory.mktemp("runs"))


def test_a_run_is_named_by_its_spec(run):
    assert run.path.name == default_name(completed(TINY))
    assert run.path.name.startswith("digits-bernoulli-mlp-z2-")
    assert default_name(completed(TINY.model_copy(update={"network": "mlp:activation=gelu:hidden=8"}))) == run.path.name
    assert default_name(completed(TINY.model_copy(update={"seed": 1}))) != run.path.name


def test_what_a_run_holds(run):
    assert {p.name for p in run.path.iterdir()} == {
        ".lock",
        "spec.json",
        "log.jsonl",
        "checkpoint.safetensors",
        "model.safetensors",
        "examples.safetensors",
        "per_image.safetensors",
        "result.json",
    }
    assert run.spec == completed(TINY)
    assert run.spec.protocol == "binary-dynamic"
    assert run.spec.network == "mlp:hidden=8:activation=gelu"
    result = run.result
    assert result["environment"]["torch"] == torch.__version__
    assert result["data"]["test"]["images"] == 180
    assert result["parameters"] == sum(p.numel() for p in run.model().parameters())
    assert result["seconds"]["training"] > 0
    assert len(run.metric("rate").parts) == 2
    assert {"elbo", "rate", "distortion", "nll", "active_units"} <= {metric.name for metric in run.metrics}


def test_the_result_is_what_the_saved_weights_give(run):
    evaluation = estimate_bounds(run.model(), run.data().test, 5, EVALUATION_SEED)
    assert run.metric("nll").value == pytest.approx(evaluation.nll.mean().item(), rel=1e-7)
    assert run.metric("elbo").value == pytest.approx(evaluation.elbo.mean().item(), rel=1e-7)


def test_a_finished_run_is_not_trained_again(run):
    before = (run.path / "result.json").stat().st_mtime_ns
    assert train(TINY, run.path.parent).path == run.path
    assert (run.path / "result.json").stat().st_mtime_ns == before


def test_a_directory_written_by_another_spec(run):
    with pytest.raises(RunError, match="latent = 2 there, 3 now"):
        train(TINY.model_copy(update={"latent": 3}), run.path.parent, name=run.path.name)


def test_a_run_that_another_process_ends_meanwhile_is_not_trained_again(tmp_path, monkeypatch):
    """It ends while this one reads the data, before this one holds the folder."""
    from vaelab.runs import train as module

    admit, said = module.admit_parts, []

    def slow(*words):
        monkeypatch.setattr(module, "admit_parts", admit)
        train(TINY, tmp_path, "run", compile="never")

    monkeypatch.setattr(module, "admit_parts", slow)
    run = train(TINY, tmp_path, "run", compile="never", callback=Callback(say=said.append, show=lambda status: None))
    assert said[-1] == f"done meanwhile: {run.path}"
    assert run.done


def test_damaged_runs(run, tmp_path):
    with pytest.raises(RunError, match="a run directory"):
        Run(tmp_path)
    for text in ("{", "3", "[1]"):
        (tmp_path / "spec.json").write_text(text)
        with pytest.raises(RunError, match=r"is damaged .* a Spec"):
            _ = Run(tmp_path).spec
    (tmp_path / "spec.json").write_text(completed(TINY).canonical_json())
    with pytest.raises(RunError, match="a finished run"):
        _ = Run(tmp_path).result
    with pytest.raises(RunError, match="train it first"):
        Run(tmp_path).model()
    whole = (run.path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RunError, match="damaged"):
        Run(tmp_path).model()
    (tmp_path / "model.safetensors").write_bytes(whole)
    (tmp_path / "spec.json").write_text(completed(TINY.model_copy(update={"latent": 4})).canonical_json())
    with pytest.raises(RunError, match="written by a run of another Spec"):
        Run(tmp_path).model()


def test_nothing_is_written_for_a_spec_that_cannot_be(tmp_path):
    for update in (
        {"likelihood": "gaussian"},
        {"validation": 5000},
        {"network": "conv:channels=8,8,8,8"},
        {"data": "nope"},
    ):
        with pytest.raises(SpecError):
            train(TINY.model_copy(update=update), tmp_path)
    assert not any(tmp_path.iterdir())


def test_two_writers(tmp_path):
    with only_writer(tmp_path), pytest.raises(RunError, match="another process"), only_writer(tmp_path):
        pass


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_a_likelihood_refuses_pixels_that_it_does_not_describe(likelihood, protocol):
    head = LIKELIHOODS[likelihood]
    spec = Spec(likelihood=likelihood, protocol=protocol)
    if protocol in (*head.protocols, *head.admitted):
        assert completed(spec).protocol == protocol
        return
    with pytest.raises(SpecError) as caught:
        completed(spec)
    assert all(name in str(caught.value) for name in head.protocols)


def test_a_protocol_that_is_only_admitted_must_be_named():
    spec = Spec(data="svhn", likelihood="bernoulli")
    with pytest.raises(SpecError, match="its value is not a likelihood"):
        completed(spec)
    named = spec.model_copy(update={"protocol": "grey"})
    check_protocol(blueprint_of(named))
    with pytest.raises(SpecError, match="pixels that it describes"):
        check_protocol(replace(blueprint_of(named), given=spec))  # not by the data's default


def test_bernoulli_on_grey_pixels_is_marked(tmp_path):
    run = train(TINY.model_copy(update={"protocol": "grey"}), tmp_path)
    assert run.metric("elbo").note == "not a likelihood"
    assert "not a likelihood" in run.metric("nll").note.split("; ")


def test_canonical_json_is_a_round_trip(tmp_path):
    spec = completed(TINY)
    (tmp_path / "spec.json").write_text(spec.canonical_json())
    assert Spec.read(tmp_path / "spec.json") == spec
    assert json.loads(spec.canonical_json()).keys() == Spec.model_fields.keys() - {*ADDED}


def test_fields_that_were_added_later_change_no_hash_unless_they_are_used(tmp_path):
    """The hashes are those that vaelab computed before these fields were added."""
    assert Spec().hash == "6d03fcbe39"
    assert completed(Spec(data="folder:faces", network=TANH)).hash == "04497e02e6"
    assert (
        completed(Spec(data="svhn", protocol="levels", likelihood="logistic", latent=32, seed=3)).hash == "26ee5fa88c"
    )
    old = json.loads(completed(TINY).canonical_json())
    (tmp_path / "spec.json").write_text(json.dumps(old))
    read = Spec.read(tmp_path / "spec.json")
    assert (read.resize, read.grey, read.convert, read.labels, read.test, read.stratify) == (
        "",
        False,
        False,
        "",
        0.1,
        False,
    )
    used = {"resize": "8x8", "grey": True, "convert": True, "labels": "name:(.)", "test": 0.2, "stratify": True}
    used["shards"] = 2
    assert used.keys() == {*ADDED}
    assert len({TINY.model_copy(update={field: value}).hash for field, value in used.items()} | {TINY.hash}) == 8
    spec = TINY.model_copy(update=used)
    (tmp_path / "spec.json").write_text(spec.canonical_json())
    assert Spec.read(tmp_path / "spec.json") == spec


def test_patience_needs_validation_images():
    with pytest.raises(SpecError, match="no weights are chosen by test images"):
        Spec(patience=3, validation=0)


def test_a_spec_has_one_hash_however_it_was_written(tmp_path):
    """Left out, given as a whole number or with a point, and read back from its file."""
    spec = completed(Spec())
    (tmp_path / "spec.json").write_text(spec.canonical_json())
    same = (Spec(clip_norm=0, epochs=spec.epochs), Spec(clip_norm=0.0), Spec.read(tmp_path / "spec.json"))
    assert {completed(other).hash for other in same} == {spec.hash}
    assert completed(Spec(clip_norm=1)).hash != spec.hash


@pytest.mark.parametrize(
    ("fields", "likelihood", "name"),
    [
        ({"network": TANH}, "bernoulli", "1c2e7fb204"),
        ({"data": "mnist", "network": TANH}, "bernoulli", "02aee7ae8d"),
        ({"protocol": "grey", "network": TANH}, "bernoulli", "2a8c175c75"),
        ({"data": "npz:a.npz", "protocol": "binary-threshold", "network": TANH}, "bernoulli", "6ed58892fe"),
        ({"data": "folder:a"}, "gaussian:sigma=shared:mean=sigmoid", None),
        ({"data": "svhn", "posterior": "full"}, "gaussian:sigma=shared:mean=sigmoid", None),
        ({"data": "folder:a", "protocol": "levels"}, "discretised-gaussian:sigma=shared", None),
    ],
)
def test_a_likelihood_that_is_not_named_describes_the_pixels(fields, likelihood, name):
    """And is as if it had been named; runs of binary pixels are called as they were before there was a choice."""
    spec = completed(Spec(**fields))
    assert spec.likelihood == likelihood
    assert spec.hash == completed(Spec(**fields, likelihood=likelihood)).hash
    assert name in (None, spec.hash)
    assert build_model(Spec(**fields), (3, 8, 8)).likelihood.head.protocols  # as tests and users make one
    assert (
        build_model(spec, (3, 8, 8)).state_dict().keys() == build_model(Spec(**fields), (3, 8, 8)).state_dict().keys()
    )


@pytest.mark.thorough(0.15, kinds=each_value)
@pytest.mark.parametrize("data", ["svhn", "folder:a", "npz:a.npz", "npy:a.npy", "frey"])
@pytest.mark.parametrize("protocol", [None, *PROTOCOLS])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_no_advice_is_to_binarise_photographs_and_what_is_advised_is_taken(data, protocol, likelihood):
    spec = Spec(data=data, likelihood=likelihood, protocol=protocol)
    if _refusal(spec) is None:
        return
    do = _refusal(spec).do
    assert "--protocol binary" not in do
    advised = re.findall(r"--(likelihood|protocol) ([a-z0-9:=-]+)", do)
    assert advised[0][0] == "likelihood"
    assert not any(_refusal(spec.model_copy(update={field: value})) for field, value in advised)


def _refusal(spec: Spec) -> SpecError | None:
    try:
        completed(spec)
    except SpecError as error:
        return error
    return None


def test_weights_from_before_pixels_were_centred_are_read_as_they_were_trained(run, tmp_path):
    shutil.copytree(run.path, tmp_path / "old")
    old = Run(tmp_path / "old")
    with safe_open(old.path / "model.safetensors", "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys() if not name.endswith((".centre", ".offset"))}  # noqa: SIM118
        save_file(tensors, old.path / "model.safetensors", {"image_shape": file.metadata()["image_shape"]})
    model, before = old.model(), run.model()
    assert model.posterior.centre.abs().max() == model.likelihood.offset.abs().max() == 0
    assert before.posterior.centre.abs().max() > 0
    del tensors["posterior.network.1.weight"]
    save_file(tensors, old.path / "model.safetensors", {"image_shape": "[1, 8, 8]"})
    with pytest.raises(RunError, match="does not fit"):
        old.model()
