"""Rankings: who may stand in one with whom."""

import json
import re
import shutil
import sys

import numpy as np
import pytest

from vaelab.runs.compare import compare
from vaelab.runs.directory import Run
from vaelab.runs.evaluate import evaluate
from vaelab.runs.spec import Spec
from vaelab.runs.train import train
from vaelab.system.errors import RunError, SpecError

TINY = Spec(data="digits", latent=2, network="mlp:hidden=8", epochs=1, nll_samples=5)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    specs = {"a": {}, "b": {"latent": 3, "seed": 1}, "static": {"protocol": "binary-static"}, "k": {"nll_samples": 9}}
    specs |= {"grey": {"protocol": "grey"}, "labels": {"condition": "labels"}}
    return {name: train(TINY.model_copy(update=update), out, name) for name, update in specs.items()}


def names(paths, metric="nll"):
    return [[ranked.run.path.name for ranked in ranking.runs] for ranking in compare(paths, metric)]


def test_runs_on_the_same_pixels_with_the_same_k_are_ranked_by_value(runs):
    a, b = runs["a"], runs["b"]
    better, worse = sorted((a, b), key=lambda run: run.metric("nll").value)
    assert names([a.path, b.path]) == names([b.path, a.path]) == [[better.path.name, worse.path.name]]
    best, other = compare([a, str(b.path)])[0].runs  # runs or their directories, and nll unless another is named
    assert (best.behind, best.behind_se) == (0, None)
    difference = worse.per_image(worse.metric("nll")) - better.per_image(better.metric("nll"))
    assert other.behind == pytest.approx(difference.mean().item())
    assert other.behind_se == pytest.approx((difference.std() / len(difference) ** 0.5).item())


def test_one_run_without_a_list_is_told(runs):
    for one in (runs["a"], runs["a"].path, str(runs["a"].path)):
        with pytest.raises(RunError, match=rf"one run, {re.escape(str(runs['a'].path))}; expected a list of runs"):
            compare(one)


def test_higher_is_better_for_a_bound_and_lower_for_its_negative(runs):
    paths = [runs["a"].path, runs["b"].path]
    values = [ranked.metric.value for ranked in compare(paths, "elbo")[0].runs]
    assert values == sorted(values, reverse=True)
    values = [ranked.metric.value for ranked in compare(paths, "nll")[0].runs]
    assert values == sorted(values)


@pytest.mark.parametrize("other", ["static", "k", "grey", "labels"])
def test_numbers_of_other_pixels_or_another_k_stand_apart(runs, other):
    found = compare([runs["a"].path, runs[other].path], "nll")
    assert [len(ranking.runs) for ranking in found] == [1, 1]
    assert found[0].of != found[1].of


@pytest.mark.parametrize("other", ["b", "static", "k", "grey", "labels"])
def test_a_title_is_short_and_of_one_ranking_only(runs, other):
    for metric in ("nll", "rate", "reconstruction_mse", "active_units"):
        titles = [ranking.title for ranking in compare([runs["a"].path, runs[other].path], metric)]
        assert len(set(titles)) == len(titles)
        assert all(len(title) <= 100 for title in titles)


@pytest.mark.parametrize("metric", ["rate", "reconstruction_mse", "active_units"])
def test_whatever_is_given_the_labels_stands_apart(runs, metric):
    found = compare([runs["a"].path, runs["labels"].path], metric)
    assert [("given the labels" in ranking.of) for ranking in found] == [False, True]


def test_numbers_of_another_precision_stand_apart(runs, tmp_path):
    shutil.copytree(runs["a"].path, tmp_path / "rounded")
    rounded = Run(tmp_path / "rounded")
    evaluate(rounded, ["likelihood:samples=5:precision=bfloat16"])
    found = compare([rounded.path, runs["b"].path], "nll")
    assert sorted(len(ranking.runs) for ranking in found) == [1, 2]
    assert [ranking.of for ranking in found if "precision bfloat16" in ranking.of]


def test_as_many_draws_as_needed_stand_apart_from_a_fixed_number_and_from_another_bound(runs, tmp_path):
    shutil.copytree(runs["b"].path, tmp_path / "auto")
    run = Run(tmp_path / "auto")
    evaluate(run, ["likelihood:samples=auto:at_most=100", "likelihood:samples=auto:at_most=150"])
    found = {ranking.of.partition("  K ")[2].split("  ")[0] for ranking in compare([run.path], "nll")}
    assert found == {"5", "100 to 100", "100 to 150"}
    (drawn,) = (metric for metric in run.metrics if (metric.name, metric.samples) == ("samples_drawn", 150))
    assert run.per_image(drawn).min() >= 100


def test_the_elbo_does_not_hang_on_k(runs):
    assert len(compare([runs["a"].path, runs["k"].path], "elbo")) == 1


def test_other_test_images_or_another_seed_stand_apart(runs, tmp_path):
    shutil.copytree(runs["a"].path, tmp_path / "other")
    result = json.loads((tmp_path / "other" / "result.json").read_text())
    result["data"]["test"]["sha256"] = "0" * 64
    (tmp_path / "other" / "result.json").write_text(json.dumps(result))
    assert len(compare([runs["a"].path, tmp_path / "other"], "nll")) == 2
    evaluate(runs["b"], ["likelihood:samples=5"], seed=3)
    assert sorted(map(len, names([runs["a"].path, runs["b"].path]))) == [1, 2]


def test_bits_per_dimension_are_refused_where_they_have_no_meaning(runs, tmp_path):
    """Of binary pixels and of grey ones as points: alone, and beside a run that has them."""
    for name in ("a", "static", "grey"):
        assert "bits_per_dim" not in {metric.name for metric in runs[name].metrics}
        with pytest.raises(RunError, match=r"no run has 'bits_per_dim', read by .*; expected pixels as 8-bit levels"):
            compare([runs[name].path], "bits_per_dim")
    levels = TINY.model_copy(update={"protocol": "levels", "likelihood": "logistic"})
    counted = train(levels, tmp_path, "counted")
    assert names([counted.path], "bits_per_dim") == [["counted"]]
    with pytest.raises(RunError, match=r"grey without 'bits_per_dim', read by grey; .* leave them out"):
        compare([counted.path, runs["grey"].path], "bits_per_dim")
    with pytest.raises(SpecError, match="unknown metric 'bits_per_dim'"):
        evaluate(runs["grey"], ["bits_per_dim"])


def test_a_metric_that_no_run_has(runs):
    with pytest.raises(RunError, match=r"no run has 'fid'; expected one of active_units, .*nll"):
        compare([runs["a"].path], "fid")


def test_a_metric_without_numbers_of_each_image_has_no_error_of_its_difference(runs):
    best, other = compare([runs["a"].path, runs["b"].path], "mutual_information")[0].runs
    assert other.metric.se > 0
    assert (best.behind_se, other.behind_se) == (None, None)


def test_reconstructions_are_compared_image_by_image(runs):
    best, other = compare([runs["a"].path, runs["b"].path], "reconstruction_mse")[0].runs
    assert other.behind >= 0
    assert 0 < other.behind_se < other.metric.se + best.metric.se


def test_another_choice_of_a_measures_options_stands_apart(runs):
    a, b = runs["a"], runs["b"]
    evaluate(a, ["latents:images=50"])
    evaluate(b, ["latents:images=50"])
    assert sorted(map(len, names([a.path, b.path], "active_units"))) == [2, 2]
    evaluate(a, ["fidelity:features=pixels"])
    evaluate(b, ["fidelity:features=pixels:draw=sample"])
    assert sorted(map(len, names([a.path, b.path], "frechet[pixels]"))) == [1, 1]


def test_the_elbo_of_fewer_draws_is_the_same_number_with_a_larger_error(runs):
    evaluate(runs["b"], ["likelihood:samples=2"])
    assert len(compare([runs["a"].path, runs["b"].path], "elbo")[0].runs) == 3


OWN = """
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Blur:
    better: str = "lower"

    def check(self, subject):
        pass

    def __call__(self, subject, progress):
        size = sum(p.detach().abs().sum().item() for p in subject.model.parameters())
        return [subject.metric("blur", size, "unit", better=self.better)]
"""


@pytest.fixture
def blurred(runs, tmp_path, monkeypatch):
    """Two runs that an error metric of the user's own has measured; the measure's name."""
    (tmp_path / "own_blur.py").write_text(OWN)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for name in ("a", "b"):
        shutil.copytree(runs[name].path, tmp_path / name)
        evaluate(Run(tmp_path / name), ["own_blur:Blur"])
    yield [tmp_path / "a", tmp_path / "b"]
    sys.modules.pop("own_blur", None)


def test_a_users_own_error_metric_is_ranked_as_it_states(blurred):
    (ranking,) = compare(blurred, "blur")
    values = [ranked.metric.value for ranked in ranking.runs]
    assert (ranking.better, values) == ("lower", sorted(values))
    assert "the lowest value is best" in ranking.of
    for path in blurred:
        evaluate(Run(path), ["own_blur:Blur:better=higher"])
    orders = {ranking.better: [ranked.metric.value for ranked in ranking.runs] for ranking in compare(blurred, "blur")}
    assert orders == {"lower": sorted(values), "higher": sorted(values, reverse=True)}


def test_a_direction_that_there_is_not_is_the_authors_error(blurred):
    with pytest.raises(
        SpecError, match="unknown direction of metric blur 'down'; expected one of higher, lower, neither"
    ):
        evaluate(Run(blurred[0]), ["own_blur:Blur:better=down"])


def test_what_is_a_description_is_listed_by_value_without_a_best(runs):
    for ranking in compare([run.path for run in runs.values()], "rate"):
        assert ranking.better == "neither"
        assert "neither direction is better" in ranking.of
        values = [ranked.metric.value for ranked in ranking.runs]
        assert values == sorted(values)


def test_old_results_are_read_by_the_names_of_vaelabs_own_metrics(blurred):
    for name in ("fidelity:features=pixels", "representation:images=100"):
        evaluate(Run(blurred[0]), [name])
    stated = {metric.name: metric.better for metric in Run(blurred[0]).metrics}
    path = blurred[0] / "result.json"
    result = json.loads(path.read_text())
    for row in result["metrics"]:
        del row["better"]
    path.write_text(json.dumps(result))
    read = {metric.name: metric.better for metric in Run(blurred[0]).metrics}
    assert read == {**stated, "blur": "neither"}  # of a user's own metric nothing is known
    assert {"higher", "lower", "neither"} == set(read.values())


@pytest.mark.parametrize("metric", ["marginal_kl", "aggregate_correlation", "nll_excess", "effective_below_2"])
def test_lower_is_better_for_what_is_amiss(runs, metric):
    having = [run.path for run in runs.values() if any(own.name == metric for own in run.metrics)]
    assert having
    for ranking in compare(having, metric):
        values = [ranked.metric.value for ranked in ranking.runs]
        assert values == sorted(values)


def test_equal_data_under_another_name_are_ranked_together(runs, tmp_path, monkeypatch):
    """The digest of the test images decides, and the title says what the data are called."""
    train_, test = (getattr(runs["a"].data(), split) for split in ("train", "test"))
    held = runs["a"].data().validation
    images = np.concatenate([train_.in_memory, held.in_memory])
    labels = np.concatenate([train_.labels, held.labels])
    monkeypatch.chdir(tmp_path)
    np.savez("same.npz", train_images=images, train_labels=labels, test_images=test.in_memory, test_labels=test.labels)
    other = train(TINY.model_copy(update={"data": "npz:same.npz", "protocol": "binary-dynamic"}), tmp_path, "other")
    (ranking,) = compare([runs["a"].path, other.path], "nll")
    assert len(ranking.runs) == 2
    assert ranking.of.startswith("data digits, npz:same.npz  pixels binary-dynamic")
    assert ranking.runs[1].behind_se is not None
    assert compare([str(runs["a"].path), str(other.path)], "nll")[0].of == ranking.of
