"""From names to numbers: what is refused before any work, what is kept, and what a run says of its own objective."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.built import build_model, completed, load_splits
from vaelab.data import Splits
from vaelab.data.dataset import seen
from vaelab.evaluation import measures
from vaelab.evaluation.measures import METRICS
from vaelab.objectives.bounds import distortion, rate
from vaelab.objectives.losses import Objective
from vaelab.runs.blueprint import blueprint_of
from vaelab.runs.directory import Run
from vaelab.runs.evaluate import context_of, default_measures, evaluate, named_measures, refuse_seen, run_measures
from vaelab.runs.metric_store import MetricStore
from vaelab.runs.provenance import provenance
from vaelab.runs.spec import Spec
from vaelab.runs.train import train
from vaelab.system.errors import DataError, NonFiniteError, RunError, SpecError
from vaelab.training.callback import SILENT

TINY = Spec(data="digits", latent=2, network="mlp:hidden=8", epochs=1, nll_samples=5)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return train(TINY, tmp_path_factory.mktemp("runs"))


@pytest.fixture
def data() -> Splits:
    return load_splits(completed(TINY))


def test_measured_images_that_were_trained_on_are_counted_each(data: Splits):
    measured = data.test.images.copy()
    measured[:3] = data.train.images[7]
    assert seen(data.train, replace(data.test, images=measured)) == seen(data.train, data.test) + 3


def test_measures_are_named_with_every_option_spelt_out():
    assert list(named_measures(["likelihood:samples=7"])) == [
        "likelihood:samples=7:at_most=10000:images=0:memory_mb=0.0:precision=float32"
    ]
    with pytest.raises(SpecError, match=r"unknown metric 'likelyhood'.*did you mean 'likelihood'"):
        named_measures(["likelyhood"])
    with pytest.raises(SpecError, match="samples = 0"):
        named_measures(["likelihood:samples=0"])


@pytest.mark.parametrize("name", METRICS)
def test_every_measure_can_be_named_with_its_defaults(name):
    ((spelt, made),) = named_measures([name]).items()
    assert spelt.startswith(name)
    assert callable(made)


def test_what_was_measured_is_kept_and_not_measured_again(run, monkeypatch):
    metrics = evaluate(run, ["likelihood:samples=3"])
    assert {metric.measure for metric in metrics} == {
        "likelihood:samples=3:at_most=10000:images=0:memory_mb=0.0:precision=float32"
    }
    assert run.metric("nll", 3) == next(metric for metric in metrics if metric.name == "nll")
    assert run.metric("nll").samples == 5  # that of the training still comes first
    before = run.result
    monkeypatch.setattr("vaelab.runs.evaluate.run_measures", None)
    assert evaluate(run, ["likelihood:samples=3"]) == metrics
    assert run.result == before


def test_measured_again_the_rows_are_replaced_and_equal(run):
    evaluate(run, ["likelihood:samples=3"])
    before = run.metrics
    assert evaluate(run, ["likelihood:samples=5"], again=True)
    assert run.metrics == before  # in their place: those of the training still come first


def test_another_seed_and_split_are_other_metrics(run):
    one, two = evaluate(run, ["likelihood:samples=4"]), evaluate(run, ["likelihood:samples=4"], seed=1)
    assert one[0].value != two[0].value
    assert {metric.seed for metric in run.metrics if metric.samples == 4} == {0, 1}
    held = evaluate(run, ["likelihood:samples=4"], split="validation")
    assert held[0].split == "validation"
    assert held[0].images == len(run.data().validation)
    with pytest.raises(SpecError, match=r"split 'tset'; expected one of train, validation, test"):
        evaluate(run, ["likelihood:samples=4"], split="tset")
    with pytest.raises(SpecError, match="seed = -1"):
        evaluate(run, ["likelihood:samples=4"], seed=-1)


def test_numbers_of_each_image_are_kept_beside_their_mean(run):
    nll = run.metric("nll")
    numbers = run.per_image(nll)
    assert numbers.shape == (nll.images,)
    assert numbers.mean().item() == pytest.approx(nll.value)
    with pytest.raises(RunError, match="a number for each image"):
        run.per_image(replace(nll, name="nothing"))


def test_everything_is_refused_before_any_work_starts(run, data):
    began = []

    class Eager:
        def check(self, context):
            pass

        def __call__(self, context, progress):
            began.append(1)

    class Refusing(Eager):
        def check(self, context):
            context.need_images("a thing", 1_000_000)

    one = context_of(run.blueprint, run.model(), data, "test", 0, Path("unused"))
    with pytest.raises(DataError, match=r"a thing of 180 test images; expected at least 1,000,000"):
        run_measures({"a": Eager(), "b": Refusing()}, one, SILENT, lambda name, rows: None)
    assert not began


def test_images_that_were_trained_on_are_no_test_images(data, tmp_path):
    refuse_seen(data.train, data.test)
    few = data.test.images.copy()
    few[:18] = data.train.images[:18]
    refuse_seen(data.train, replace(data.test, images=few))  # a data set's own repetitions
    many = data.test.images.copy()
    many[:19] = data.train.images[:19]
    leaky = Splits(data.train, None, replace(data.test, images=many))
    with pytest.raises(DataError, match=r"19 of 180 test images of digits are training images too"):
        refuse_seen(leaky.train, leaky.test)
    with pytest.raises(DataError, match="training images too"):
        context_of(blueprint_of(TINY), build_model(TINY, (1, 8, 8)), leaky, "test", 0, tmp_path)


def test_a_training_whose_test_images_are_its_own_does_not_start(tmp_path, data):
    import numpy as np

    file = tmp_path / "leaky.npz"
    np.savez(file, train_images=data.train.images, test_images=data.train.images[:100])
    with pytest.raises(DataError, match="100 of 100 test images"):
        train(Spec(data=f"npz:{file}", protocol="binary-dynamic", validation=0, **SMALL), tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


SMALL = {"latent": 2, "network": "mlp:hidden=8", "epochs": 1, "nll_samples": 5}


def test_data_that_have_changed_since_are_refused(tmp_path, data):
    import numpy as np

    file = tmp_path / "mine.npz"
    np.savez(file, train_images=data.train.images, test_images=data.test.images)
    run = train(Spec(data=f"npz:{file}", protocol="binary-dynamic", **SMALL), tmp_path / "runs")
    np.savez(file, train_images=data.train.images[::-1], test_images=data.test.images)
    with pytest.raises(RunError, match="made with other images"):
        evaluate(run, ["likelihood:samples=2"])


def test_the_ledger_says_what_was_optimised(run):
    told = run.result["provenance"]
    assert (told["bound"], told["is_bound"], told["effective_beta"]) == ("ELBO", True, pytest.approx(1, abs=1e-5))
    assert told["objective"] == "elbo:samples=1:kl=exact"
    assert told["seeds"] == {"training": 0, "split": 0, "evaluation": 0}
    json.dumps(told)


def scaled() -> Objective:
    """An objective whose distortion is a mean over pixels, as `--objective tests.runs.test_evaluate:scaled`."""

    def objective(model, x, step):
        draw = model(x, 1)
        return distortion(draw) / 64 + rate(draw), draw

    return objective


def test_a_loss_that_is_no_bound_is_called_so_in_the_ledger(data):
    spec = TINY.model_copy(update={"objective": "tests.runs.test_evaluate:scaled"})
    told = provenance(blueprint_of(spec), build_model(TINY, (1, 8, 8)), data.train, 10)
    assert told["effective_beta"] == pytest.approx(64, rel=1e-4)
    assert (told["bound"], told["is_bound"]) == ("", False)


def test_a_bound_of_what_is_no_likelihood_is_no_bound(data):
    spec = TINY.model_copy(update={"protocol": "grey"})
    told = provenance(blueprint_of(spec), build_model(spec, (1, 8, 8)), load_splits(spec).train, 10)
    assert (told["bound"], told["is_bound"], told["note"]) == ("ELBO", False, "not a likelihood")


def test_a_collapsed_model_is_found_out_in_its_result(tmp_path):
    spec = TINY.model_copy(update={"objective": "tests.runs.test_evaluate:deaf"})
    found = train(spec, tmp_path).result["findings"]
    assert [finding["kind"] for finding in found] == ["posterior-collapse"]
    assert train(TINY.model_copy(update={"epochs": 20}), tmp_path).result["findings"] == []


def deaf() -> Objective:
    """An objective that wants nothing but a rate of 0."""

    def objective(model, x, step):
        draw = model(x, 1)
        return 1e3 * rate(draw) + distortion(draw), draw

    return objective


def test_what_these_data_do_not_allow_is_left_out_of_the_training_and_said(tmp_path, monkeypatch):
    class Never:
        def check(self, context):
            context.need_images("it", 10_000)

        def __call__(self, context, progress):
            raise AssertionError

    said = []
    monkeypatch.setitem(measures.METRICS, "latents", Never)
    from vaelab.training.callback import Callback

    run = train(TINY, tmp_path, callback=Callback(say=said.append, show=lambda status: None))
    assert any("latents is left out: it of 180 test images" in line for line in said)
    assert run.metric("nll").samples == 5
    with pytest.raises(DataError, match="it of 180"):
        evaluate(run, ["latents"])


def test_a_number_that_is_none_is_not_recorded(run):
    before = run.metrics
    metric = context_of(run.blueprint, run.model(), run.data(), "test", 0, Path("unused")).metric(
        "nll", float("nan"), "nats", better="lower"
    )
    with pytest.raises(NonFiniteError, match="nll is nan"):
        MetricStore(run, 0, run.metrics).add("likelihood", [metric])
    assert run.metrics == before


def test_the_latents_of_a_flow_are_measured_on_fewer_images():
    assert "latents" in default_measures(blueprint_of(Spec()))
    assert "latents:images=1000" in default_measures(blueprint_of(Spec(posterior="flow:hidden=8")))
    assert "latents" in default_measures(blueprint_of(Spec(posterior="tests.traps.own:Narrow")))
