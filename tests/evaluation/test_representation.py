"""Probes, neighbours and clusters, against codes whose answers are known and against scikit-learn."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from tests.evaluation.linear import affine, context, dataset
from vaelab.data import Dataset
from vaelab.evaluation import representation
from vaelab.evaluation.measure import Metric
from vaelab.evaluation.representation import Points, Representation
from vaelab.randomness.seeds import derive
from vaelab.system.errors import DataError, SpecError

IDENTITY = affine(torch.eye(2) * 255, torch.zeros(2), [0.1, 0.1])  # the codes are the levels


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    """Intervals cost the most here, and one test is about them."""
    monkeypatch.setattr(representation, "RESAMPLES", 10)


def blobs(centres: list[list[int]], each: list[int], spread: float, split: str, seed: int = 0) -> Dataset:
    """`each` images around each centre, which is their label."""
    labels = np.repeat(np.arange(len(centres)), each)
    noise = np.random.default_rng(seed).standard_normal((len(labels), len(centres[0]))) * spread
    return dataset(np.clip(np.round(np.array(centres)[labels] + noise), 0, 255).astype(np.uint8), labels, split)


def measured(train: Dataset, test: Dataset, model=IDENTITY, seed: int = 0, **options: int) -> dict[str, Metric]:
    measure, about = Representation(**options), context(model, test, train, seed)
    measure.check(about)
    return {m.name: m for m in measure(about, lambda share: None)}


CORNERS = [[50, 50], [50, 200], [200, 50]]


def test_codes_that_lie_apart_by_label_are_of_perfect_use():
    rows = measured(blobs(CORNERS, [40] * 3, 5, "train"), blobs(CORNERS, [30] * 3, 5, "test", seed=1))
    assert {name: row.value for name, row in rows.items()} == {
        name: pytest.approx(1)
        for name in ("probe_accuracy", "knn_accuracy", "kmeans_nmi", "kmeans_ari", "probe_accuracy_pixels")
    }
    for row in rows.values():
        assert row.images == 90
        assert row.split == "test"
        assert row.interval is not None
        assert "fitted on 120 training images" in row.note
    assert rows["knn_accuracy"].interval[0] == pytest.approx(1 / (1 + 1.96**2 / 90))  # Wilson's, of 90 in 90


def test_labels_that_the_codes_know_nothing_of_are_guessed():
    random = np.random.default_rng(0)
    train, test = (blobs([[100, 100]], [n], 30, split, n) for n, split in ((500, "train"), (400, "test")))
    train, test = (dataset(d.images[:, 0, 0], random.integers(0, 4, len(d)), d.split) for d in (train, test))
    rows = measured(train, test)
    for name in ("probe_accuracy", "knn_accuracy"):
        assert abs(rows[name].value - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 400)
    assert abs(rows["kmeans_ari"].value) < 0.03
    assert 0 <= rows["kmeans_nmi"].value < 0.05
    assert rows["kmeans_nmi"].interval[0] >= 0  # as resampling moves it below: no such agreement exists


def test_neighbours_find_what_no_line_divides():
    checks = [[50, 50], [200, 200], [50, 200], [200, 50]]
    train, test = (blobs(checks, [50] * 4, 5, split, seed) for seed, split in enumerate(("train", "test")))
    train, test = (dataset(d.images[:, 0, 0], d.labels // 2, d.split) for d in (train, test))
    rows = measured(train, test)
    assert rows["knn_accuracy"].value == 1
    assert rows["probe_accuracy"].value < 0.8


def test_numbers_are_those_of_scikit_learn_on_train_fitted_scales():
    weight = torch.tensor([[3.0, 1.0], [0.2, -0.1]])
    centres = [[100, 100], [120, 100], [110, 130]]
    train, test = blobs(centres, [70, 60, 50], 12, "train"), blobs(centres, [20, 50, 40], 12, "test", seed=1)
    model = affine(weight, torch.tensor([5.0, 1.0]), [0.1, 0.1])
    rows = measured(train, test, model, neighbours=7)
    train = train.some(0)  # in the order of their content, which decides between neighbours at one distance
    known, unseen = (model.posterior(torch.from_numpy(d.images).float() / 255).mean.detach() for d in (train, test))
    np.testing.assert_allclose(unseen, test.images.reshape(-1, 2) / 255 @ weight.numpy().T + [5, 1], rtol=1e-5)
    known, unseen = known.double().numpy(), unseen.double().numpy()
    scaler = StandardScaler().fit(known)
    known, unseen = scaler.transform(known), scaler.transform(unseen)
    penalty = float(rows["probe_accuracy"].note.split("C = ")[1].split(";")[0])
    probe = LogisticRegression(C=penalty).fit(known, train.labels)
    assert rows["probe_accuracy"].value == pytest.approx(probe.score(unseen, test.labels), abs=1e-12)
    nearest = KNeighborsClassifier(7).fit(known, train.labels)
    assert rows["knn_accuracy"].value == pytest.approx(nearest.score(unseen, test.labels), abs=1e-12)


def test_scales_are_those_of_the_training_images():
    """All but one of the images measured have one label: by their own mean they would seem to have two."""
    line = [[50, 100], [200, 100]]
    rows = measured(blobs(line, [50, 50], 8, "train"), blobs(line, [1, 99], 8, "test", seed=1))
    assert {name: rows[name].value for name in ("probe_accuracy", "knn_accuracy", "kmeans_ari")} == {
        "probe_accuracy": 1,
        "knn_accuracy": 1,
        "kmeans_ari": 1,
    }
    assert rows["probe_accuracy_pixels"].value == 1


def test_no_interval_leaves_the_scale_of_its_score(monkeypatch):
    """An image of the wrong cluster: moved to the value, the upper end of the resamples would pass 1."""
    monkeypatch.setattr(representation, "RESAMPLES", 200)
    train = blobs([[50, 100], [200, 100]], [50, 50], 8, "train")
    test = blobs([[50, 100], [200, 100]], [30, 30], 8, "test", seed=1)
    labels = test.labels.copy()
    labels[0] = 1 - labels[0]
    found = [measured(train, replace(test, labels=labels), seed=seed)["kmeans_ari"] for seed in range(3)]
    assert [row.value for row in found] == pytest.approx([0.933] * 3, abs=1e-3)
    assert max(row.interval[1] for row in found) == 1


def test_each_dimension_of_the_codes_counts_alike():
    """The label is in a dimension a thousand times smaller than the other, which is noise."""
    train, test = (
        blobs([[60, 128], [190, 128]], [100, 100], 25, split, seed) for seed, split in enumerate(("train", "test"))
    )
    rows = measured(train, test, affine(torch.diag(torch.tensor([0.1, 100.0])), torch.zeros(2), [0.1, 0.1]))
    assert rows["knn_accuracy"].value > 0.95


def test_the_penalty_is_chosen_by_training_images():
    """Many pixels of noise beside one that tells the label call for the heavier penalty; two clean codes do not."""
    random = np.random.default_rng(0)
    labels, truth = random.integers(0, 2, 150), random.integers(0, 2, 100)

    def noisy(labels: np.ndarray, split: str) -> Dataset:
        levels = random.integers(0, 256, (len(labels), 300))
        levels[:, :3] = levels[:, :3] // 2 + 100 * labels[:, None]
        return dataset(levels.astype(np.uint8), labels, split)

    train, test = noisy(labels, "train"), noisy(truth, "test")
    weight = torch.zeros(2, 300)
    weight[0, 0] = weight[1, 1] = 1
    model = affine(weight, torch.zeros(2), [0.1, 0.1], (1, 1, 300))
    rows = measured(train, test, model)
    assert "C = 0.01" in rows["probe_accuracy_pixels"].note
    wrong = Dataset("made", "test", test.images, 1 - truth, "grey")
    flipped = measured(train, wrong, model)
    for name in ("probe_accuracy", "knn_accuracy", "probe_accuracy_pixels"):
        assert flipped[name].value == pytest.approx(1 - rows[name].value)
        assert flipped[name].note.split(";")[0] == rows[name].note.split(";")[0]


def test_every_fifth_image_of_each_label_is_held_out(monkeypatch):
    """2 of 10 and 1 of 5. A label of 4 images keeps them all."""
    random = np.random.default_rng(0)
    labels, known = random.permutation(np.repeat([0, 1, 2], [10, 5, 4])), random.standard_normal((19, 2))
    fitted, scored = list[np.ndarray](), list[np.ndarray]()

    class Recorded(LogisticRegression):
        def fit(self, points, labels):
            fitted.append(np.bincount(labels, minlength=3))
            return super().fit(points, labels)

        def score(self, points, labels):
            scored.append(np.bincount(labels, minlength=3))
            return super().score(points, labels)

    monkeypatch.setattr("sklearn.linear_model.LogisticRegression", Recorded)
    test = blobs(CORNERS, [3] * 3, 5, "test")
    points = Points(known, test.images[:, 0, 0].astype(float), labels, test.labels)
    representation._probe(context(IDENTITY, test, test), "probe_accuracy", points)
    assert np.array_equal(scored, [[2, 1, 0]] * 2)
    assert np.array_equal(fitted, [[8, 4, 4], [8, 4, 4], [10, 5, 4]])


def test_intervals_of_clusters_are_shifted_percentiles_of_the_resamples_of_a_seed():
    train, test = blobs(CORNERS, [60] * 3, 60, "train"), blobs(CORNERS, [40] * 3, 60, "test", seed=1)
    row = measured(train, test, seed=3)["kmeans_ari"]
    # k-means again, with the draws that the measure makes
    known, unseen = train.some(0), test.some(0)
    scaler = StandardScaler().fit(known.images[:, 0, 0] / 255)
    one, other = (scaler.transform(data.images[:, 0, 0] / 255) for data in (known, unseen))
    means = KMeans(3, n_init=representation.STARTS, random_state=derive(3, "evaluation") % 2**32).fit(one)
    truth, cluster = unseen.labels, means.predict(other)
    random = np.random.default_rng(derive(3, "evaluation", 1))
    resamples = [random.integers(120, size=120) for _ in range(representation.RESAMPLES)]
    scores = np.array([adjusted_rand_score(truth[rows], cluster[rows]) for rows in resamples])
    assert row.value == pytest.approx(adjusted_rand_score(truth, cluster), abs=1e-12)
    expected = row.value + np.quantile(scores, (0.025, 0.975)) - scores.mean()
    assert row.interval == pytest.approx(expected.tolist(), abs=1e-12)


def test_intervals_of_clusters_have_the_spread_of_new_images(monkeypatch):
    train = blobs(CORNERS, [60] * 3, 60, "train")
    known = train.images[:, 0, 0].astype(float)

    def rows(seed: int) -> list[Metric]:
        test = blobs(CORNERS, [80] * 3, 60, "test", 1 + seed)
        points = Points(known, test.images[:, 0, 0].astype(float), train.labels, test.labels)
        return representation._clusters(context(IDENTITY, test, train), points)

    monkeypatch.setattr(representation, "RESAMPLES", 200)
    first = rows(0)
    said = [row.interval[1] - row.interval[0] for row in first]
    assert all(row.interval[0] < row.value < row.interval[1] for row in first)
    monkeypatch.setattr(representation, "RESAMPLES", 1)
    values = np.array([[row.value for row in rows(seed)] for seed in range(50)])
    spread = 2 * 1.96 * values.std(0, ddof=1)
    assert (
        np.abs(np.log(np.array(said) / spread)) < np.log(1.45)
    ).all()  # 50 repetitions know it within 10 %, 200 resamples within 7 %


def test_clusters_are_found_in_training_images_and_scored_on_the_others():
    train, test = blobs(CORNERS, [60] * 3, 50, "train"), blobs(CORNERS, [80] * 3, 50, "test", seed=1)
    rows = measured(train, test)
    scaler = StandardScaler().fit(train.images[:, 0, 0])
    centres = np.array([scaler.transform(train.images[train.labels == k, 0, 0]).mean(0) for k in range(3)])
    nearest = ((scaler.transform(test.images[:, 0, 0])[:, None] - centres) ** 2).sum(-1).argmin(1)  # about k-means'
    assert rows["kmeans_nmi"].value == pytest.approx(normalized_mutual_info_score(test.labels, nearest), abs=0.05)
    assert rows["kmeans_ari"].value == pytest.approx(adjusted_rand_score(test.labels, nearest), abs=0.05)
    assert "3 clusters" in rows["kmeans_ari"].note


def test_the_order_of_the_images_does_not_matter():
    train, test = blobs(CORNERS, [60] * 3, 60, "train"), blobs(CORNERS, [40] * 3, 60, "test", seed=1)

    def shuffled(data: Dataset) -> Dataset:
        order = np.random.default_rng(3).permutation(len(data))
        return dataset(data.images[order, 0, 0], data.labels[order], data.split)

    for options in ({}, {"images": 50}):
        assert measured(train, test, **options) == measured(shuffled(train), shuffled(test), **options)
    assert "fitted on 50 training" in measured(train, test, images=50)["knn_accuracy"].note


def test_a_collapsed_posterior_names_one_label_and_finds_no_clusters():
    model = affine(torch.zeros(2, 2), torch.ones(2), [1.0, 1.0])
    rows = measured(blobs(CORNERS, [50, 30, 20], 5, "train"), blobs(CORNERS, [10, 20, 30], 5, "test"), model)
    assert rows["probe_accuracy"].value == pytest.approx(1 / 6)
    assert "0.167 by always predicting the most frequent label" in rows["probe_accuracy"].note
    assert rows["kmeans_nmi"].value == pytest.approx(0, abs=1e-12)
    assert rows["kmeans_ari"].value == pytest.approx(0, abs=1e-12)
    assert rows["probe_accuracy_pixels"].value == 1


def test_a_label_without_training_images_counts_as_wrong_and_is_named():
    rows = measured(blobs(CORNERS[:2], [50, 50], 5, "train"), blobs(CORNERS, [10, 20, 30], 5, "test"))
    assert rows["probe_accuracy"].value == rows["knn_accuracy"].value == 0.5
    assert "none with label 2" in rows["probe_accuracy"].note
    assert (
        "none with label"
        not in measured(*(blobs(CORNERS, [9] * 3, 5, s) for s in ("train", "test")))["knn_accuracy"].note
    )


def test_the_global_generators_are_left_alone():
    train, test = blobs(CORNERS, [20] * 3, 60, "train"), blobs(CORNERS, [20] * 3, 60, "test")
    before, before_numpy, told = torch.get_rng_state(), np.random.get_state()[1].copy(), []  # noqa: NPY002
    Representation()(context(IDENTITY, test, train), told.append)
    assert torch.equal(torch.get_rng_state(), before)
    assert (np.random.get_state()[1] == before_numpy).all()  # noqa: NPY002
    assert told == sorted(told)
    assert told[-1] == 1


def refusal(train: Dataset, test: Dataset, **options: int) -> str:
    with pytest.raises(DataError) as error:
        Representation(**options).check(context(IDENTITY, test, train))
    return str(error.value)


def test_data_that_cannot_be_probed_are_refused_before_any_work():
    train, test = blobs(CORNERS, [9] * 3, 5, "train"), blobs(CORNERS, [9] * 3, 5, "test")
    assert "no labels" in refusal(dataset(train.images[:, 0, 0], split="train"), test)
    assert "no labels" in refusal(train, dataset(test.images[:, 0, 0]))
    assert "one label in 9 training" in refusal(blobs(CORNERS[:1], [9], 5, "train"), test)
    assert "one label in 9 test" in refusal(train, blobs(CORNERS[:1], [9], 5, "test"))
    assert "at most 4 of one label" in refusal(blobs(CORNERS, [4] * 3, 5, "train"), test)
    assert "27 training images" in refusal(train, test, neighbours=28)
    Representation(neighbours=27).check(context(IDENTITY, test, train))


@pytest.mark.parametrize("options", [{"neighbours": 0}, {"images": 4}, {"images": 9, "neighbours": 10}])
def test_options_that_make_no_sense_are_refused(options: dict[str, int]):
    with pytest.raises(SpecError):
        Representation(**options)


def test_the_table_of_measures_does_not_load_scikit_learn():
    code = "import sys, vaelab.evaluation.measures; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_probe_of_pixels_sees_them_between_0_and_1():
    images = np.arange(256).astype(np.uint8)
    data = dataset(np.stack([images, images[::-1]], 1), np.zeros(256, int), "test")
    levels = representation._levels(data)
    assert (levels.min(), levels.max()) == (0, 1)
