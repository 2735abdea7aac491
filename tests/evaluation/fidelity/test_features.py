"""Feature extractors: what they compute, what they are called, and what is refused before any work."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tests.built import build_model, completed
from vaelab.data import Dataset, load_data
from vaelab.evaluation.fidelity import classifier as classifiers
from vaelab.evaluation.fidelity.classifier import classifier, weights_sha256
from vaelab.evaluation.fidelity.features import check_features, extractor
from vaelab.evaluation.measure import EvaluationContext
from vaelab.runs.spec import Spec
from vaelab.system.errors import DataError, RunError, SpecError


@pytest.fixture(scope="module")
def splits():
    return load_data("digits", validation=0, protocol="grey")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def context(splits, cache):
    model = build_model(completed(Spec(latent=2, network="mlp:hidden=5")), (1, 8, 8))
    return EvaluationContext(model, splits.train, splits.test, 0, "", cache)


@pytest.fixture(scope="module")
def fitted(context):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifiers, "STEPS", 150)  # enough for images of 8 x 8
        return classifier(context.train, context.cache)


class Pool(nn.Module):
    def forward(self, x):
        return torch.nn.functional.adaptive_avg_pool2d(x, 2).flatten(1)


class Random(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(64, 5)

    def forward(self, x):
        return self.linear(nn.functional.dropout(x.flatten(1), training=self.training))


class NotFlat(nn.Module):
    def forward(self, x):
        return x


class OneForAll(nn.Module):
    def forward(self, x):
        return x.flatten(1).mean(0, keepdim=True)


class Infinite(nn.Module):
    def forward(self, x):
        return 1 / (x.flatten(1) * 0)


class Colour(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return self.convolution(x).flatten(1)


class Words(nn.Module):
    def forward(self, x):
        return "features"


class Wants(nn.Module):
    def __init__(self, size):
        super().__init__()


def levels(data: Dataset, n: int = 20) -> torch.Tensor:
    return torch.from_numpy(data.images[:n]).float() / 255


def test_pixels_are_the_levels_in_0_1_in_float64(context):
    pixels = extractor("pixels", context)
    found = pixels(levels(context.data))
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found.numpy(), context.data.images[:20].reshape(20, 64) / 255, rtol=1e-7)
    assert pixels.label == "pixels"


def test_the_classifier_reads_images_it_was_not_fitted_to(fitted):
    assert fitted.accuracy.n == 161
    assert fitted.accuracy.value > 0.95


def test_the_accuracy_is_of_images_held_out(context, tmp_path, monkeypatch):
    """Labels at random can be learned by heart, and by heart only."""
    monkeypatch.setattr(classifiers, "STEPS", 200)
    labels = np.random.default_rng(0).integers(0, 10, len(context.train))
    network = classifier(random := replace(context.train, labels=labels), tmp_path)
    assert network.accuracy.value < 0.25
    known = random.take(random.by_content[:1000])
    right = (network.network(levels(known, 1000)).argmax(1).numpy() == known.labels)[200:].mean()
    assert right > 0.4


def test_its_features_are_the_penultimate_activations_and_of_order_one(context, fitted):
    extract = extractor("classifier", context)
    found = extract(levels(context.data))
    assert found.shape == (20, 64)
    last = fitted.network[-1]
    torch.testing.assert_close(last(found.float()), fitted.network(levels(context.data)))
    assert 0.3 < found.square().mean().sqrt().item() < 3
    assert extract.label == f"classifier-{weights_sha256(fitted.network)[:8]}"
    assert "held-out training images" in extract.note
    assert "weak" not in extract.note
    torch.testing.assert_close(extract(levels(context.data, 3)), found[:3], rtol=0, atol=1e-5)  # whatever the batch


def test_a_weak_classifier_is_called_weak(context, tmp_path, monkeypatch):
    monkeypatch.setattr(classifiers, "STEPS", 5)
    assert "a weak classifier" in extractor("classifier", replace(context, cache=tmp_path)).note


def test_it_is_fitted_once_and_shared_by_whatever_has_the_same_training_images(context, fitted, monkeypatch):
    def never(train):
        raise AssertionError("fits the classifier again")

    monkeypatch.setattr(classifiers, "_fit", never)
    again = classifier(replace(context.train, protocol="8bit"), context.cache)
    assert weights_sha256(again.network) == weights_sha256(fitted.network)
    assert again.accuracy == fitted.accuracy
    with pytest.raises(AssertionError):
        classifier(replace(context.train, labels=9 - context.train.labels), context.cache)


def test_a_fit_is_the_same_whatever_the_order_of_the_images_and_leaves_the_generator_alone(
    context, monkeypatch, tmp_path
):
    monkeypatch.setattr(classifiers, "STEPS", 20)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    with torch.no_grad():
        one = classifier(context.train, tmp_path)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    other = classifier(context.train.take(np.random.default_rng(1).permutation(len(context.train))), tmp_path)
    assert weights_sha256(one.network) == weights_sha256(other.network)
    assert len(list(tmp_path.iterdir())) == 2  # the digest of a Dataset goes by its order


def test_a_fit_is_the_same_with_any_number_of_threads_and_their_number_is_left_alone(context, monkeypatch):
    monkeypatch.setattr(classifiers, "STEPS", 20)
    one = weights_sha256(classifiers._fit(context.train).network)
    torch.set_num_threads(2)
    try:
        with classifiers._one_thread():
            assert torch.get_num_threads() == 1
        assert weights_sha256(classifiers._fit(context.train).network) == one
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_a_damaged_file_in_the_cache_is_refused_before_any_work(context, fitted, tmp_path):
    (file,) = context.cache.iterdir()
    whole = file.read_bytes()
    damaged = tmp_path / file.name
    elsewhere = replace(context, cache=tmp_path)
    flipped = bytearray(whole)
    flipped[-5] ^= 1
    other = tmp_path / "other"
    save_file({**load_file(file), "0.bias": torch.zeros(3)}, other)
    nameless = tmp_path / "nameless"
    save_file(load_file(file), nameless)
    for content in (whole[:-10], b"", bytes(flipped), other.read_bytes(), nameless.read_bytes()):
        damaged.write_bytes(content)
        with pytest.raises(RunError, match="is damaged") as caught:
            check_features("classifier", elsewhere)
        assert "\n" not in str(caught.value)
    damaged.write_bytes(whole)
    check_features("classifier", elsewhere)


def test_labels_and_images_enough_are_needed_for_the_classifier_alone(context):
    bare = replace(context, train=replace(context.train, labels=None))
    few = replace(context, train=context.train.take(np.arange(99)))
    same = replace(context, train=replace(context.train, labels=np.zeros(len(context.train), np.int64)))
    for wanting, match in ((bare, "no labels"), (few, "99 training images"), (same, "of 1 classes")):
        with pytest.raises(DataError, match=match):
            check_features("classifier", wanting)
        check_features("pixels", wanting)
    check_features("classifier", replace(context, data=replace(context.data, labels=None)))


def test_a_module_of_the_users_own_is_reached_by_its_dotted_name(context):
    name = f"{__name__}.Pool"
    check_features(name, context)
    extract = extractor(name, context)
    assert extract(levels(context.data)).shape == (20, 4)
    assert extract.label.startswith(f"{name}-")


def test_a_module_with_random_weights_or_dropout_gives_the_same_features_every_time(context):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = extractor(f"{__name__}.Random", context)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    other = extractor(f"{__name__}.Random", context)
    assert one.sha256 == other.sha256 != extractor(f"{__name__}.Pool", context).sha256
    torch.testing.assert_close(one(levels(context.data)), other(levels(context.data)))
    assert not one(levels(context.data)).requires_grad


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("NotFlat", r"\(2, 1, 8, 8\) for 2 images; expected a tensor of shape \(2, F\)"),
        ("OneForAll", r"\(1, 64\) for 2 images"),
        ("Words", "returns str"),
        ("Infinite", "not finite"),
        ("Colour", r"fails for images of shape \(2, 1, 8, 8\)"),
        ("Wants", "cannot be constructed"),
        ("levels", "cannot be constructed"),
        ("Missing", "cannot be constructed"),
    ],
)
def test_a_module_that_does_not_do_what_it_must_is_refused_in_one_line(context, name, match):
    with pytest.raises(SpecError, match=match) as caught:
        check_features(f"{__name__}.{name}", context)
    assert "\n" not in str(caught.value)


def test_unknown_features_are_refused_with_the_known_ones(context):
    with pytest.raises(SpecError, match="did you mean 'pixels'"):
        check_features("pixel", context)
    with pytest.raises(SpecError, match="No module named 'no'"):
        check_features("no.such.Module", context)


def test_weights_are_told_apart_by_value_name_and_type():
    torch.manual_seed(0)
    one = nn.Linear(2, 2)
    same = nn.Linear(2, 2)
    same.load_state_dict(one.state_dict())
    assert weights_sha256(one) == weights_sha256(same)
    digests = {weights_sha256(m) for m in (one, nn.Linear(2, 2), nn.Sequential(same), nn.Sequential(one).bfloat16())}
    assert len(digests) == 4
