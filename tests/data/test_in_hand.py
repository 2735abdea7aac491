"""Images that are given in Python: their name, their splits, and a run that is trained on them."""

import numpy as np
import pytest
import torch
from PIL import Image

import vaelab as vl
from tests.told import told
from vaelab.data import load_data
from vaelab.data.dataset import Splits
from vaelab.data.in_hand import in_hand
from vaelab.system.errors import DataError, RunError
from vaelab.training.callback import SILENT

TINY = vl.Spec(latent=2, network="mlp:hidden=4", epochs=0.2, nll_samples=2)
IMAGES = np.random.default_rng(0).integers(0, 256, (60, 1, 8, 8), np.uint8)


def trained(images, out, **fields) -> vl.Run:
    spec = vl.Spec(**{**TINY.model_dump(exclude_unset=True), **fields})
    return vl.train(spec, out, compile="never", callback=SILENT, data=images)


def test_a_name_names_the_images_and_nothing_else():
    name = in_hand(IMAGES).text
    assert name.startswith("array:")
    same = (IMAGES[:, 0], IMAGES.copy(), torch.from_numpy(IMAGES), vl.Dataset("any", "test", IMAGES, None, "grey"))
    assert {in_hand(images).text for images in same} == {name}
    data = vl.Dataset("any", "test", IMAGES, np.arange(60), "grey")
    others = (IMAGES[::-1], IMAGES[:-1], data, Splits(data, None, data), Splits(data, data, data))
    assert len({in_hand(images).text for images in others} | {name}) == 6


def test_an_array_is_divided_as_its_file_is(tmp_path):
    np.savez(tmp_path / "a.npz", images=IMAGES)
    file, array = load_data(f"npz:{tmp_path / 'a.npz'}"), load_data(in_hand(IMAGES))
    for one, other in ((file.train, array.train), (file.validation, array.validation), (file.test, array.test)):
        assert one.sha256 == other.sha256
        assert (one.protocol, one.note) == (other.protocol, other.note)


def test_an_array_trains_to_the_numbers_of_its_file(tmp_path):
    np.savez(tmp_path / "a.npz", images=IMAGES)
    file = trained(None, tmp_path, data=f"npz:{tmp_path / 'a.npz'}")
    array = trained(IMAGES, tmp_path)
    assert array.metric("nll").value == file.metric("nll").value
    assert array.spec == file.spec.model_copy(update={"data": in_hand(IMAGES).text})
    assert array.path.name == f"{array.spec.data.replace(':', '-')}-gaussian-mlp-z2-{array.spec.hash}"


def test_splits_and_labels_and_protocol_are_those_that_were_given(tmp_path):
    train, validation, test = (
        vl.Dataset("mine", split, IMAGES[at], np.arange(60)[at] % 3, "grey", "slice", class_names={0: "a"})
        for split, at in (("train", slice(40)), ("validation", slice(40, 50)), ("test", slice(50, 60)))
    )
    run = trained(Splits(train, validation, test), tmp_path, condition="labels")
    data = run.data()
    assert [len(split) for split in (data.train, data.validation, data.test)] == [40, 10, 10]
    assert (data.test.images == test.images).all()
    assert run.spec.protocol == "grey"
    assert run.result["note"] == "slice"
    assert run.examples("test").class_names == {0: "a"}
    assert run.model().given(["a", "1"]) is not None


def test_a_run_knows_its_images_until_python_ends_and_then_asks_for_them(tmp_path, capsys):
    run = trained(IMAGES, tmp_path)
    assert vl.evaluate(run, "latents:images=5")[0].images == 5
    later = vl.Run(run.path)
    with pytest.raises(DataError, match=f"data {run.spec.data}: images that were given to vl.train in Python"):
        vl.evaluate(later, "latents:images=4")
    assert vl.evaluate(later, "latents:images=4", source=IMAGES)[0].images == 4
    assert vl.figure(later, "latents", source=IMAGES)
    with pytest.raises(RunError, match="made with other images"):
        later.data(source=IMAGES[::-1])
    assert "images that were given to vl.train" in told(capsys, "evaluate", run.path, "--metrics", "latents:images=3")
    assert "images that were given to vl.train" in told(
        capsys, "train", "--spec", run.path / "spec.json", "--name", "again", "--out", tmp_path
    )
    assert not (tmp_path / "again").exists()


def test_it_is_resumed_with_the_images_in_hand(tmp_path):
    short, whole = trained(IMAGES, tmp_path / "a", epochs=1.0), trained(IMAGES, tmp_path / "b", epochs=2.0)
    later = vl.Run(short.path)
    with pytest.raises(DataError, match="images that were given"):
        vl.resume(later, 2, compile="never", callback=SILENT)
    assert not (tmp_path / "a" / whole.path.name).exists()
    longer = vl.resume(later, 2, compile="never", callback=SILENT, source=IMAGES)
    assert longer.path.name == whole.path.name
    assert longer.metric("nll").value == whole.metric("nll").value


COLOUR = np.random.default_rng(1).integers(0, 256, (6, 3, 8, 9), np.uint8)


@pytest.mark.parametrize("images", [IMAGES, COLOUR], ids=["grey", "colour"])
def test_every_form_of_the_same_images_has_the_same_name(images):
    name, last = in_hand(images).text, images.transpose(0, 2, 3, 1)
    floats = (images / 255).astype(np.float32)
    pictures = [Image.fromarray(image.squeeze()) for image in last]
    forms = [last, floats, last / 255, torch.from_numpy(floats), list(images), list(last), pictures]
    forms += [images[:, 0], floats[:, 0], list(images[:, 0])] if images is IMAGES else []
    assert {in_hand(form).text for form in forms} == {name}
    assert "quantised" in in_hand(floats).entry.read("").train.note
    black, black_and_white = in_hand(images > 100).entry.read("").train.images, np.where(images > 100, 255, 0)
    np.testing.assert_array_equal(black, black_and_white)


def test_images_with_labels_are_a_pair(tmp_path):
    numbers = np.arange(60) % 3
    held = in_hand((IMAGES, numbers)).entry.read("").train
    np.testing.assert_array_equal(held.labels, numbers)
    same = (list(numbers), torch.from_numpy(numbers), numbers.astype(np.uint8), numbers.astype(str))
    assert {in_hand((IMAGES / 255, labels)).text for labels in same} == {in_hand((IMAGES, numbers)).text}
    names = np.array(["dog", "cat", "ape"])[numbers]
    run = trained((IMAGES, names), tmp_path, condition="labels")
    assert run.data().train.class_names == {0: "ape", 1: "cat", 2: "dog"}
    assert run.data(source=(IMAGES, names.astype(object))).train.class_name(2) == "dog"
    assert run.sample(2, labels="cat").label_names == ["cat", "cat"]


@pytest.mark.parametrize(
    ("images", "found"),
    [
        (IMAGES.astype(np.float32), r"float images from 0 to 255; expected floats in \[0, 1\].*divide them by 255"),
        (np.where(IMAGES > 9, np.nan, 0.5), "NaN or infinite"),
        (IMAGES.astype(np.int64), "images of int64"),
        (COLOUR[:, :, :3, :3], r"images of shape \(6, 3, 3, 3\), where the axis of the channels is not certain"),
        (IMAGES[:0], "no pixels"),
        (IMAGES[0, 0], r"images of shape \(8, 8\)"),
        (IMAGES.reshape(60, 64), r"images of shape \(60, 64\); expected \[N, H, W\]"),
        ((IMAGES > 9).astype(np.uint8), "only the levels 0 and 1"),
        ([IMAGES[0], COLOUR[0]], r"images of shape \(1, 8, 8\) of uint8, and of shape \(3, 8, 9\)"),
        ([IMAGES, np.arange(60)], r"pairs of images and labels are a tuple, \(images, labels\)"),
        (
            (IMAGES, np.arange(59)),
            r"60 images and labels of shape \(59,\); expected one label per image, shape \(60,\)",
        ),
        ((IMAGES, np.eye(60)), r"labels of shape \(60, 60\)"),
        ((IMAGES, np.arange(60) / 2), "labels of float64; expected whole numbers, or text"),
        ((IMAGES, [None] * 60), "labels of object; expected whole numbers, or text"),
        ((vl.Dataset("a", "train", IMAGES, None, "8bit"), np.arange(60)), "a Dataset with other labels"),
        ([], "images of type list"),
        ({"images": IMAGES}, "images of type dict"),
    ],
)
def test_what_is_no_image_is_refused_with_what_was_found(images, found, tmp_path):
    with pytest.raises(DataError, match=found):
        trained(images, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_path_is_a_source(tmp_path):
    np.save(tmp_path / "a.npy", IMAGES)
    assert trained(tmp_path / "a.npy", tmp_path).spec.data == f"npy:{tmp_path / 'a.npy'}"


def test_images_replace_the_data_of_the_spec(tmp_path):
    run = trained(IMAGES, tmp_path, data="digits")
    assert run.spec.data == in_hand(IMAGES).text
    assert trained(IMAGES, tmp_path, data=run.spec.data).path == run.path  # as a Spec that is read from its run


def test_training_without_a_spec_takes_the_plain_one(tmp_path, monkeypatch):
    from vaelab.runs import train as module

    seen = []
    monkeypatch.setattr(module, "train_blueprint", lambda run, blueprint, *rest: seen.append(blueprint))
    vl.train(out=tmp_path, data=IMAGES)
    vl.train(out=tmp_path)
    assert [blueprint.given.data for blueprint in seen] == [in_hand(IMAGES).text, "digits"]
    assert seen[0].given.model_copy(update={"data": "digits", "protocol": None}) == vl.Spec()
