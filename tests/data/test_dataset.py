from dataclasses import replace

import numpy as np
import pytest
import torch

from vaelab.data.dataset import Dataset, Splits, raw
from vaelab.data.protocol import with_protocol
from vaelab.data.splitting import split_off, validation_count
from vaelab.system.errors import DataError, SpecError


def numbered(count: int) -> Dataset:
    images = np.arange(count, dtype=np.uint8).repeat(6).reshape(count, 1, 2, 3)
    return Dataset("numbered", "train", images, np.arange(count), "8bit")


def test_a_dataset_knows_its_size():
    data = numbered(5)
    assert len(data) == 5
    assert data.shape == (1, 2, 3)


IMAGES = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 5), np.uint8)


@pytest.mark.parametrize(
    ("images", "found", "do"),
    [
        (IMAGES / 255, "images of float64 from", "(images * 255).round().astype(numpy.uint8)"),
        (IMAGES.astype(np.float32), "images of float32 from", "images.round().astype(numpy.uint8)"),
        (IMAGES.astype(np.int64) // 128, "images of int64 from 0 to 1", "multiply them by 255"),
        (IMAGES - 300.0, "images of float64 from", "scale them to that range"),
        (np.where(IMAGES > 9, np.nan, 0.0), "images of float64 with NaN", "remove the NaN values"),
        (IMAGES > 9, "images of bool", "images.astype(numpy.uint8) * 255"),
        (IMAGES.astype(str), "images of <U3", "convert them to levels"),
        (torch.from_numpy(IMAGES).float() / 255, "images of float32 from", "multiply them by 255"),
        (IMAGES[:, 0], "images of shape (2, 4, 5)", "images[:, None]"),
        (IMAGES[0, 0], "images of shape (4, 5)", "reshape the images"),
        (IMAGES.transpose(0, 2, 3, 1), "with channels last", "images.transpose(0, 3, 1, 2)"),
        (IMAGES[:, :1].transpose(0, 2, 3, 1), "(2, 4, 5, 1), with channels last", "images.permute(0, 3, 1, 2)"),
        (np.zeros((2, 8, 9, 4), np.uint8), "(2, 8, 9, 4), with channels last", "images.transpose(0, 3, 1, 2)"),
        (IMAGES[:0], "no pixels (shape (0, 3, 4, 5))", "add images"),
        (IMAGES.tolist(), "images of type list", "numpy.asarray(images)"),
        (None, "images of type NoneType", "numpy.asarray(images)"),
    ],
)
def test_images_that_are_not_levels_are_refused_with_what_to_do(images, found: str, do: str, refused):
    with refused(DataError, found, do):
        Dataset("x", "train", images, None, "8bit")


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (np.zeros(3, np.int64), "labels of shape (3,)"),
        (np.zeros((2, 10), np.int64), "labels of shape (2, 10)"),
        (np.zeros(2), "labels of float64"),
        (np.array(["a", "b"]), "labels of <U1"),
        ([0, 1], "labels of type list"),
    ],
)
def test_labels_that_are_not_whole_numbers_for_each_image_are_refused(labels, found: str, refused):
    with refused(DataError, found):
        Dataset("x", "train", IMAGES, labels, "8bit")


def test_factors_without_names_and_names_without_factors_are_refused(refused):
    with refused(DataError, "0 factor names with factors"):
        Dataset("x", "train", IMAGES, None, "8bit", factors=np.zeros((2, 1), np.int64))
    with refused(DataError, "1 factor names without factors"):
        Dataset("x", "train", IMAGES, None, "8bit", factor_names=("a",))
    with refused(DataError, "factors of shape (2, 1)"):
        Dataset("x", "train", IMAGES, None, "8bit", "", np.zeros((2, 1), np.int64), ("a", "b"))


def test_an_unknown_split_or_protocol_is_refused(refused):
    with refused(DataError, "split 'valid'", "train, validation, test"):
        Dataset("x", "valid", IMAGES, None, "8bit")
    with refused(SpecError, "protocol 'bit'", "8bit"):
        Dataset("x", "train", IMAGES, None, "bit")


@pytest.mark.parametrize(
    "images",
    [
        torch.from_numpy(IMAGES),
        torch.from_numpy(IMAGES).contiguous(memory_format=torch.channels_last),
        IMAGES.swapaxes(2, 3).copy().swapaxes(2, 3),
        np.asfortranarray(IMAGES),
        np.flip(IMAGES[:, :, :, ::-1], 3),
    ],
    ids=["tensor", "channels last in memory", "transposed", "Fortran", "flipped"],
)
def test_tensors_and_other_orders_of_memory_are_the_same_images(images):
    plain = Dataset("x", "train", IMAGES, np.arange(2), "8bit")
    data = Dataset("x", "train", images, torch.arange(2, dtype=torch.int32), "8bit")
    assert data.images.flags.c_contiguous
    assert (data.sha256, data.digests.tolist()) == (plain.sha256, plain.digests.tolist())
    assert data.labels.dtype == np.int64


def test_splits_of_several_shapes_or_protocols_are_refused(refused):
    plain, wide = numbered(5), replace(numbered(5), images=np.zeros((5, 1, 2, 4), np.uint8), split="test")
    with refused(DataError, "(1, 2, 3) read by 8bit", "test images of shape (1, 2, 4)"):
        Splits(plain, None, wide)
    with refused(DataError, "validation images of shape (1, 2, 3) read by grey"):
        Splits(plain, replace(plain, protocol="grey", split="validation"), plain)


def test_the_digest_depends_on_content_shape_and_labels_and_on_nothing_else():
    images, labels = np.arange(12, dtype=np.uint8).reshape(2, 1, 2, 3), np.array([0, 1])
    digest = Dataset("a", "train", images, labels, "8bit").sha256
    assert digest == Dataset("b", "test", images.copy(), labels.copy(), "grey", "note").sha256
    others = [
        Dataset("a", "train", images.reshape(2, 1, 3, 2), labels, "8bit").sha256,
        Dataset("a", "train", images ^ 1, labels, "8bit").sha256,
        Dataset("a", "train", images, labels[::-1].copy(), "8bit").sha256,
        Dataset("a", "train", images, None, "8bit").sha256,
    ]
    assert len({digest, *others}) == 5


def test_factors_belong_to_the_digest_and_their_absence_changes_nothing():
    images, factors = np.arange(12, dtype=np.uint8).reshape(2, 1, 2, 3), np.array([[0, 1], [1, 0]])
    plain = Dataset("a", "train", images, None, "8bit")
    one, other = (
        Dataset("a", "train", images, None, "8bit", "", f, ("u", "v")) for f in (factors, factors[::-1].copy())
    )
    assert len({plain.sha256, one.sha256, other.sha256}) == 3
    assert plain.sha256 == "1a457e17994102e86331a28d453e172d813e2daf7a4156c135745e6c19617b2d"  # as before factors


def test_images_are_taken_with_their_labels_and_factors():
    data = numbered(9)
    data = replace(data, factors=np.stack([data.labels, -data.labels], 1), factor_names=("up", "down"))
    rest, held = split_off(data, 4, 0, "test")
    prepared = with_protocol(Splits(rest, None, held), "binary-static", 0).train
    for part in (rest, held, prepared, data.take(np.array([7, 2]))):
        assert part.factor_names == ("up", "down")
        np.testing.assert_array_equal(part.factors, np.stack([part.labels, -part.labels], 1))
    assert data.take(np.array([7, 2])).labels.tolist() == [7, 2]
    assert numbered(3).take(np.array([0])).factors is None


def test_factors_that_do_not_fit_their_images_or_names_are_refused(refused):
    images = np.zeros((3, 1, 2, 2), np.uint8)
    with refused(DataError, "a.npz", "3 images", "(2, 1)"):
        raw("a.npz", images, factors=np.zeros((2, 1), int))
    with refused(DataError, "a.npz", "(3,)"):
        raw("a.npz", images, factors=np.zeros(3, int))
    for names in (("x",), ("x", "x")):
        with refused(DataError, "a.npz", "2 factors", ", ".join(names)):
            raw("a.npz", images, factors=np.zeros((3, 2), int), factor_names=names)
    assert raw("a.npz", images, factors=np.zeros((3, 2), np.uint8)).factor_names == ("factor1", "factor2")


def test_splitting_off_divides_without_loss_and_keeps_images_with_their_labels():
    rest, held = split_off(numbered(20), 7, 3, "validation")
    assert (len(rest), len(held), rest.split, held.split) == (13, 7, "train", "validation")
    assert rest.labels is not None
    assert held.labels is not None
    assert sorted([*rest.labels, *held.labels]) == list(range(20))
    for part in (rest, held):
        np.testing.assert_array_equal(part.images[:, 0, 0, 0], part.labels)


def test_splitting_off_is_a_function_of_the_seed():
    first, again, other = (split_off(numbered(20), 7, seed, "test")[1].sha256 for seed in (3, 3, 4))
    assert first == again != other


@pytest.mark.parametrize(("validation", "count"), [(0, 0), (0.1, 2), (0.01, 1), (0.5, 10), (1, 1), (19, 19), (3.0, 3)])
def test_validation_is_a_share_or_a_number(validation: float, count: int):
    assert validation_count(20, validation) == count


@pytest.mark.parametrize("validation", [-1, -0.1, 1.5, 20, 21, 0.999, float("nan"), float("inf")])
def test_an_impossible_validation_split_is_refused(validation: float, refused):
    with refused(SpecError, f"validation = {validation}"):
        validation_count(20, validation)


def test_no_images_and_unequal_counts_are_refused(refused):
    with refused(DataError, "here.idx", "(0, 1, 2, 2)"):
        raw("here.idx", np.zeros((0, 1, 2, 2), np.uint8))
    with refused(DataError, "here.idx", "3 images", "(2,)"):
        raw("here.idx", np.zeros((3, 1, 2, 2), np.uint8), np.zeros(2, np.uint8))


def test_the_order_of_content_counts_every_image_once_and_is_blind_to_that_of_the_file():
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (300, 1, 2, 2), np.uint8), np.arange(300) % 3
    images[150:160] = images[0]  # equal pixels, told apart by their labels
    shuffled = random.permutation(300)
    one, other = (Dataset("made", "test", images[at], labels[at], "grey") for at in (np.arange(300), shuffled))
    assert sorted(one.by_content) == list(range(300))
    np.testing.assert_array_equal(one.images[one.by_content], other.images[other.by_content])
    np.testing.assert_array_equal(one.labels[one.by_content], other.labels[other.by_content])
    half = one.some(150)
    assert abs(half.images.mean() - images.mean()) < 4 * images.std() / np.sqrt(2 * 150 * 4)
    assert len(one.some(0)) == len(one.some(1000)) == 300
    np.testing.assert_array_equal(half.images[:20], one.some(20).images)


def test_digests_are_of_pixels_and_end_in_any_byte():
    images = np.random.default_rng(0).integers(0, 256, (3000, 1, 2, 2), np.uint8)
    data = Dataset("made", "test", images, None, "grey")
    assert len(set(data.digests.tolist())) == len({image.tobytes() for image in images})


def test_a_dataset_is_printed_without_its_pixels():
    images = np.zeros((1200, 1, 2, 3), np.uint8)
    data = Dataset("made", "test", images, None, "grey")
    assert repr(data) == "Dataset(test images of made: 1,200 of [1, 2, 3], grey)"
    assert (
        repr(replace(data, labels=np.zeros(1200, int)))
        == "Dataset(test images of made: 1,200 of [1, 2, 3], grey, labels)"
    )
