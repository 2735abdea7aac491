import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vaelab.data import SOURCES, load_data
from vaelab.data.check import check, listing
from vaelab.data.dataset import seen
from vaelab.data.reading import parse_reading
from vaelab.data.sources import parse, roots
from vaelab.system.errors import DataError, SpecError

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 5, 4), np.uint8)


@pytest.fixture
def thirty(tmp_path: Path) -> str:
    np.savez(tmp_path / "thirty.npz", images=IMAGES, labels=np.arange(30))
    return f"npz:{tmp_path / 'thirty.npz'}"


def idx_files(folder: Path, train: int, test: int) -> None:
    folder.mkdir(parents=True)
    for name, count in (("train", train), ("t10k", test)):
        images, labels = IMAGES[:count], np.arange(count, dtype=np.uint8)
        header = b"\0\0\x08\x03" + np.array(images.shape, ">u4").tobytes()
        (folder / f"{name}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(
            b"\0\0\x08\x01" + np.array([count], ">u4").tobytes() + labels.tobytes()
        )


def test_importing_the_data_layer_imports_no_heavy_library():
    code = "import sys, vaelab.data, vaelab.data.check; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "vaelab.data.fetch" in loaded
    assert not {"torch", "scipy", "sklearn", "PIL", "pooch"} & set(loaded)


def test_digits_need_no_file():
    splits = load_data("digits")
    assert splits.validation is not None
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (1455, 162, 180)
    assert splits.train.shape == (1, 8, 8)
    assert splits.train.labels is not None
    assert set(splits.train.labels) == set(range(10))
    assert splits.test.note == "no official test split: 180 of 1,797 images held out"
    assert splits.test.sha256.startswith("a317217beb15")  # numbers that were published with this split stay comparable
    levels = np.unique(splits.train.images)
    assert levels.tolist() == [round(16 * i - i / 16 + 1e-9) for i in range(17)]  # 255 i / 16
    # a 0 has ink around an empty middle: the digits stand where they should
    zeros = splits.train.images[splits.train.labels == 0].mean((0, 1))
    assert zeros[3:5, 3:5].max() < 60 < 150 < zeros[3:5, 2].min()


def test_the_test_split_is_the_same_for_every_seed_and_the_validation_split_is_not(thirty: str):
    first, again, other = (load_data(thirty, seed=seed) for seed in (0, 0, 1))
    assert first.validation is not None
    assert again.validation is not None
    assert other.validation is not None
    assert first.test.sha256 == again.test.sha256 == other.test.sha256
    assert first.validation.sha256 == again.validation.sha256 != other.validation.sha256
    labels = np.concatenate([data.labels for data in (first.train, first.validation, first.test)])
    assert sorted(labels) == list(range(30))
    assert (len(first.train), len(first.validation), len(first.test)) == (24, 3, 3)


def test_validation_may_be_none_a_share_or_a_number(thirty: str, refused):
    assert load_data(thirty, validation=0).validation is None
    assert len(load_data(thirty, validation=0).train) == 27
    assert len(load_data(thirty, validation=5).train) == 22
    with refused(SpecError, "validation = 27", "27 training images"):
        load_data(thirty, validation=27)


def test_the_protocol_is_the_sources_own_unless_asked(thirty: str, refused):
    assert load_data(thirty).train.protocol == "8bit"
    assert load_data("digits").train.protocol == "binary-dynamic"
    static, other = (load_data(thirty, protocol="binary-static", seed=seed) for seed in (0, 1))
    assert set(np.unique(static.test.images)) == {0, 255}
    assert static.test.sha256 == other.test.sha256  # one static test set, whatever the seed
    with refused(SpecError, "'bw'", "binary-static"):
        load_data(thirty, protocol="bw")


def test_named_sources_are_looked_for_in_root_alone_or_environment_then_cache(tmp_path, monkeypatch, refused):
    for count, place in ((5, tmp_path / "root"), (6, tmp_path / "env"), (7, tmp_path / "cache" / "vaelab")):
        idx_files(place / "mnist", count, 2)
    monkeypatch.setenv("VAELAB_DATA", str(tmp_path / "env"))
    splits = load_data("mnist", tmp_path / "root", validation=0)
    assert (len(splits.train), splits.where) == (5, str(tmp_path / "root" / "mnist"))
    for root in (tmp_path / "elsewhere", str(tmp_path / "elsewhere")):
        with refused(DataError, f"{tmp_path / 'elsewhere' / 'mnist'} (no", "--data-root"):
            load_data("mnist", root)
        assert not next(row for row in listing(root) if row.usage == "mnist").present
    with refused(DataError, "mnist (no", "--data-root"):
        load_data("mnist", "")  # as an unset variable of the shell gives it: the folder at hand
    (tmp_path / "root" / "mnist" / "t10k-labels-idx1-ubyte").unlink()
    with refused(DataError, "no t10k-labels-idx1-ubyte", f"vaelab data fetch mnist --data-root {tmp_path / 'root'}"):
        load_data("mnist", tmp_path / "root")
    assert len(load_data("mnist", validation=0).train) == 6
    monkeypatch.delenv("VAELAB_DATA")
    assert len(load_data("mnist", validation=0).train) == 7
    assert load_data("mnist").test.note == "MNIST slice, 7/2"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert roots(None) == [Path.home() / ".cache" / "vaelab"]


def test_missing_files_are_named_with_every_place_and_the_remedy(tmp_path: Path, refused, monkeypatch):
    idx_files(tmp_path / "mnist", 5, 2)
    (tmp_path / "mnist" / "t10k-images-idx3-ubyte").unlink()
    cache = tmp_path / "cache" / "vaelab" / "mnist"
    monkeypatch.setenv("VAELAB_DATA", str(tmp_path))
    with refused(DataError, f"{tmp_path / 'mnist'} (no t10k-images-idx3-ubyte)", cache, "`vaelab data fetch mnist`"):
        load_data("mnist")
    (tmp_path / "svhn").mkdir()
    (tmp_path / "svhn" / "train_32x32.mat.gz").touch()  # only IDX files may be gzipped
    with refused(DataError, "no train_32x32.mat, test_32x32.mat", "vaelab data fetch svhn"):
        load_data("svhn", tmp_path)
    with refused(DataError, "freyfaces.npz", "put the files there"):
        load_data("frey", tmp_path)


def test_a_directory_of_idx_files_keeps_its_own_test_images_without_a_note(tmp_path: Path):
    idx_files(tmp_path / "fashion", 9, 4)
    splits = load_data(f"idx:{tmp_path / 'fashion'}", validation=2)
    assert (len(splits.train), len(splits.test), splits.test.note) == (7, 4, "")
    assert load_data(f"idx:{tmp_path / 'fashion' / 'train-images-idx3-ubyte'}").test.note.startswith(
        "no official test split"
    )


def test_the_quantisation_note_stays_beside_the_split_note(tmp_path: Path):
    np.savez(tmp_path / "a.npz", images=IMAGES / 255)
    note = load_data(f"npz:{tmp_path / 'a.npz'}").validation.note
    assert note.startswith("floats quantised to 256 levels, largest change 0.0000; no official test split")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("mnits", ("'mnits'", "shapes, mnist, svhn, frey", "did you mean mnist?")),
        ("npx:a.npz", ("did you mean npz:FILE?",)),
        ("", ("digits",)),
        ("cifar", ("folder:DIR", "choose one of these")),
        ("mnist:train", ("'mnist:train'; expected mnist;",)),
        ("npz", ("expected npz:FILE",)),
        ("folder:", ("expected folder:DIR",)),
    ],
)
def test_unknown_sources_and_arguments_are_refused(refused, source: str, words: tuple[str, ...]):
    with refused(SpecError, *words):
        load_data(source)


def test_the_source_s_own_validation_images_are_the_validation_split(tmp_path: Path):
    arrays = {"train_images": IMAGES[:20], "val_images": IMAGES[20:24], "val_labels": np.arange(4)}
    np.savez(tmp_path / "a.npz", **arrays, test_images=IMAGES[24:])
    source = f"npz:{tmp_path / 'a.npz'}"
    splits = load_data(source, validation=0.3)
    assert splits.validation is not None
    np.testing.assert_array_equal(splits.train.images, IMAGES[:20, None])
    np.testing.assert_array_equal(splits.validation.images, IMAGES[20:24, None])
    assert (splits.validation.split, splits.validation.protocol) == ("validation", "8bit")
    assert splits.said[1:] == (f"validation: the 4 validation images of {source}; no training images are held out",)
    none = load_data(source, validation=0)
    assert none.validation is None
    assert len(none.train) == 20
    assert none.said[1:] == (f"--validation 0: the 4 validation images of {source} are not used",)
    rows, said = check(source)
    assert [(row.split, row.count) for row in rows] == [("train", 20), ("validation", 4), ("test", 6)]
    assert said == splits.said[:1]


def test_a_source_without_test_images_gives_up_a_tenth_and_keeps_its_validation_images(tmp_path: Path):
    np.savez(tmp_path / "a.npz", train_images=IMAGES[:20], val_images=IMAGES[20:])
    splits = load_data(f"npz:{tmp_path / 'a.npz'}")
    assert splits.validation is not None
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (18, 10, 2)
    assert splits.test.note == "no official test split: 2 of 20 images held out"


def test_what_is_read_and_what_is_left_out_is_said(tmp_path: Path, monkeypatch):
    np.savez(tmp_path / "a.npz", images=IMAGES, ids=np.arange(30), codes=np.arange(30))
    monkeypatch.chdir(tmp_path)
    splits = load_data("npz:a.npz")
    assert splits.where == str(tmp_path / "a.npz")
    assert splits.said == (
        f"npz:a.npz is read from {tmp_path / 'a.npz'}",
        "left out of npz:a.npz: arrays ids, codes",
    )
    np.save(tmp_path / "a.npy", IMAGES)
    np.save(tmp_path / "b.npy", np.arange(30))
    assert load_data("npy:a.npy,b.npy").where == f"{tmp_path / 'a.npy'},{tmp_path / 'b.npy'}"
    assert (load_data("digits").where, load_data("digits").said) == ("", ())


@pytest.mark.parametrize("protocol", ["8bit", "binary-static", "binary-threshold"])
@pytest.mark.parametrize("kind", ["npz", "npy"])
def test_images_of_two_splits_are_told_by_their_own_pixels(tmp_path: Path, protocol: str, kind: str):
    """Whatever a protocol draws, and though a threshold makes many images equal: here nearly all are black."""
    images = np.random.default_rng(0).integers(0, 129, (200, 2, 2), np.uint8)
    images[100:130] = images[:30]  # in the test split or not, as they are held out
    np.savez(tmp_path / "a.npz", images=images)
    np.save(tmp_path / "a.npy", images)
    if (kind, protocol) == ("npy", "binary-static"):
        return
    source = f"{kind}:{tmp_path / f'a.{kind}'}"
    plain, splits = load_data(source, protocol="8bit"), load_data(source, protocol=protocol)
    known = {image.tobytes() for image in plain.train.images[:]}
    common = sum(image.tobytes() in known for image in plain.test.images[:])
    assert 0 < common < 10
    assert seen(splits.train, splits.test) == common
    assert seen(splits.train, splits.test.take(np.arange(20))) == common
    (_, test), _ = check(source)
    assert test.seen >= common  # of all training images, those for validation among them


def test_one_image_and_unlike_splits_are_refused(tmp_path: Path, refused):
    np.savez(tmp_path / "one.npz", images=IMAGES[:1])
    with refused(DataError, "one.npz", "1 image"):
        load_data(f"npz:{tmp_path / 'one.npz'}")
    np.savez(tmp_path / "unlike.npz", train_images=IMAGES, test_images=IMAGES[:, 1:])
    with refused(DataError, "unlike.npz", "(1, 5, 4)", "(1, 4, 4)"):
        load_data(f"npz:{tmp_path / 'unlike.npz'}")


FORMATS = ("npz", "npy", "h5", "mat", "amat", "pt", "safetensors", "parquet", "zip", "tar")


def test_the_table_is_complete():
    assert list(SOURCES) == ["digits", "shapes", "mnist", "svhn", "frey", "idx", *FORMATS, "folder"]
    assert [name for name, entry in SOURCES.items() if entry.protocol != "8bit"] == ["digits", "mnist"]


def test_the_path_of_a_folder_or_file_is_enough(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    for number, image in enumerate(IMAGES):
        Image.fromarray(image).save(tmp_path / "photos" / f"{number:02}.png")
    np.savez(tmp_path / "a.npz", images=IMAGES)
    (tmp_path / "a.npz").rename(tmp_path / "a.NPZ")
    monkeypatch.chdir(tmp_path)
    for short, full in (("photos", "folder:photos"), ("./photos/", "folder:./photos/"), ("a.NPZ", "npz:a.NPZ")):
        assert parse(short).text == full
        assert load_data(short).said[0] == f"{short} is read as {full}"
        assert load_data(short).test.sha256 == load_data(full).test.sha256
        assert check(short)[0][0].source == full
    assert parse("folder:photos").said == ""


def test_a_built_in_source_comes_before_a_folder_of_its_name(tmp_path, monkeypatch):
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path)
    splits = load_data("digits")
    assert len(splits.train) == 1455
    assert splits.said == ("digits is the data set; the folder here is folder:digits",)


@pytest.mark.parametrize("name", ["nowhere.npz", "notes.txt", "a.folder", "photos:2024"])
def test_what_is_no_folder_and_no_file_of_a_format_is_unknown(tmp_path, monkeypatch, refused, name: str):
    (tmp_path / "photos:2024").mkdir()
    for file in ("notes.txt", "a.folder"):
        (tmp_path / file).touch()
    monkeypatch.chdir(tmp_path)
    with refused(SpecError, repr(name), "folder:DIR"):
        parse(name)


def test_the_number_of_test_images_can_be_chosen(thirty: str, refused):
    for test, count in ((0.2, 6), (5, 5), (0.01, 1), (29, 29)):
        splits = load_data(thirty, validation=0, reading=parse_reading(test=test))
        assert (len(splits.train), len(splits.test)) == (30 - count, count)
        assert splits.test.note == f"no official test split: {count} of 30 images held out"
    with refused(SpecError, "test = 30 takes 30 of 30", "one training image"):
        load_data(thirty, reading=parse_reading(test=30))
    for test in (0, -0.1, 1.5, float("nan")):
        with refused(SpecError, f"test = {test:g}", "a proportion between 0 and 1"):
            parse_reading(test=test)


def test_test_images_of_the_source_are_used_whatever_was_asked(tmp_path: Path):
    np.savez(tmp_path / "a.npz", train_images=IMAGES[:20], test_images=IMAGES[20:])
    splits = load_data(f"npz:{tmp_path / 'a.npz'}", reading=parse_reading(test=0.5))
    assert len(splits.test) == 10
    assert splits.said[0].startswith("test: the 10 test images of")


def test_stratified_splits_have_the_classes_in_proportion(tmp_path: Path, refused):
    labels = np.repeat([3, 7, 8], [20, 8, 2])
    np.savez(tmp_path / "a.npz", images=IMAGES, labels=labels)
    source = f"npz:{tmp_path / 'a.npz'}"
    for seed in range(5):
        splits = load_data(source, validation=5, seed=seed, reading=parse_reading(test=0.5, stratify=True))
        counts = [np.bincount(part.labels, minlength=9)[[3, 7, 8]] for part in (splits.test, splits.validation)]
        assert [count.tolist() for count in counts] == [[10, 4, 1], [4, 1, 0]]
    assert splits.test.note == "no official test split: 15 of 30 images held out, from each class in proportion"
    assert splits.test.sha256 == load_data(source, reading=parse_reading(test=0.5, stratify=True)).test.sha256
    with refused(SpecError, "stratify with 28 test images out of 3 classes", "keep one training image"):
        load_data(source, reading=parse_reading(test=28, stratify=True))
    np.savez(tmp_path / "b.npz", images=IMAGES)
    with refused(SpecError, "have no labels"):
        load_data(f"npz:{tmp_path / 'b.npz'}", reading=parse_reading(stratify=True))


@pytest.mark.parametrize("words", [{"resize": "4x4"}, {"grey": True}, {"convert": True}, {"labels": "name:(.)"}])
def test_a_conversion_of_what_is_no_image_file_is_refused(thirty: str, refused, words):
    with refused(SpecError, thirty, "folder:DIR", "leave them out"):
        load_data(thirty, reading=parse_reading(**words))
