import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vaelab.data import SOURCES, load
from vaelab.data.check import check, listing
from vaelab.data.dataset import seen
from vaelab.data.sources import roots
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
    splits = load("digits")
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
    first, again, other = (load(thirty, seed=seed) for seed in (0, 0, 1))
    assert first.validation is not None
    assert again.validation is not None
    assert other.validation is not None
    assert first.test.sha256 == again.test.sha256 == other.test.sha256
    assert first.validation.sha256 == again.validation.sha256 != other.validation.sha256
    labels = np.concatenate([data.labels for data in (first.train, first.validation, first.test)])
    assert sorted(labels) == list(range(30))
    assert (len(first.train), len(first.validation), len(first.test)) == (24, 3, 3)


def test_validation_may_be_none_a_share_or_a_number(thirty: str, refused):
    assert load(thirty, validation=0).validation is None
    assert len(load(thirty, validation=0).train) == 27
    assert len(load(thirty, validation=5).train) == 22
    with refused(SpecError, "validation = 27", "27 training images"):
        load(thirty, validation=27)


def test_the_protocol_is_the_sources_own_unless_asked(thirty: str, refused):
    assert load(thirty).train.protocol == "8bit"
    assert load("digits").train.protocol == "binary-dynamic"
    static, other = (load(thirty, protocol="binary-static", seed=seed) for seed in (0, 1))
    assert set(np.unique(static.test.images)) == {0, 255}
    assert static.test.sha256 == other.test.sha256  # one static test set, whatever the seed
    with refused(SpecError, "'bw'", "binary-static"):
        load(thirty, protocol="bw")


def test_named_sources_are_looked_for_in_root_alone_or_environment_then_cache(tmp_path, monkeypatch, refused):
    for count, place in ((5, tmp_path / "root"), (6, tmp_path / "env"), (7, tmp_path / "cache" / "vaelab")):
        idx_files(place / "mnist", count, 2)
    monkeypatch.setenv("VAELAB_DATA", str(tmp_path / "env"))
    splits = load("mnist", tmp_path / "root", validation=0)
    assert (len(splits.train), splits.where) == (5, str(tmp_path / "root" / "mnist"))
    for root in (tmp_path / "elsewhere", str(tmp_path / "elsewhere")):
        with refused(DataError, f"{tmp_path / 'elsewhere' / 'mnist'} (no", "--data-root"):
            load("mnist", root)
        assert not next(row for row in listing(root) if row.usage == "mnist").present
    with refused(DataError, "mnist (no", "--data-root"):
        load("mnist", "")  # as an unset variable of the shell gives it: the folder at hand
    (tmp_path / "root" / "mnist" / "t10k-labels-idx1-ubyte").unlink()
    with refused(DataError, "no t10k-labels-idx1-ubyte", f"vaelab data fetch mnist --data-root {tmp_path / 'root'}"):
        load("mnist", tmp_path / "root")
    assert len(load("mnist", validation=0).train) == 6
    monkeypatch.delenv("VAELAB_DATA")
    assert len(load("mnist", validation=0).train) == 7
    assert load("mnist").test.note == "MNIST slice, 7/2"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert roots(None) == [Path.home() / ".cache" / "vaelab"]


def test_missing_files_are_named_with_every_place_and_the_remedy(tmp_path: Path, refused, monkeypatch):
    idx_files(tmp_path / "mnist", 5, 2)
    (tmp_path / "mnist" / "t10k-images-idx3-ubyte").unlink()
    cache = tmp_path / "cache" / "vaelab" / "mnist"
    monkeypatch.setenv("VAELAB_DATA", str(tmp_path))
    with refused(DataError, f"{tmp_path / 'mnist'} (no t10k-images-idx3-ubyte)", cache, "`vaelab data fetch mnist`"):
        load("mnist")
    (tmp_path / "svhn").mkdir()
    (tmp_path / "svhn" / "train_32x32.mat.gz").touch()  # only IDX files may be gzipped
    with refused(DataError, "no train_32x32.mat, test_32x32.mat", "vaelab data fetch svhn"):
        load("svhn", tmp_path)
    with refused(DataError, "freyfaces.npz", "put the files there"):
        load("frey", tmp_path)


def test_a_directory_of_idx_files_keeps_its_own_test_images_without_a_note(tmp_path: Path):
    idx_files(tmp_path / "fashion", 9, 4)
    splits = load(f"idx:{tmp_path / 'fashion'}", validation=2)
    assert (len(splits.train), len(splits.test), splits.test.note) == (7, 4, "")
    assert load(f"idx:{tmp_path / 'fashion' / 'train-images-idx3-ubyte'}").test.note.startswith(
        "no official test split"
    )


def test_the_quantisation_note_stays_beside_the_split_note(tmp_path: Path):
    np.savez(tmp_path / "a.npz", images=IMAGES / 255)
    note = load(f"npz:{tmp_path / 'a.npz'}").validation.note
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
        load(source)


def test_the_source_s_own_validation_images_are_the_validation_split(tmp_path: Path):
    arrays = {"train_images": IMAGES[:20], "val_images": IMAGES[20:24], "val_labels": np.arange(4)}
    np.savez(tmp_path / "a.npz", **arrays, test_images=IMAGES[24:])
    source = f"npz:{tmp_path / 'a.npz'}"
    splits = load(source, validation=0.3)
    assert splits.validation is not None
    np.testing.assert_array_equal(splits.train.images, IMAGES[:20, None])
    np.testing.assert_array_equal(splits.validation.images, IMAGES[20:24, None])
    assert (splits.validation.split, splits.validation.protocol) == ("validation", "8bit")
    assert splits.said[1:] == (f"validation: the 4 validation images of {source}; no training images are held out",)
    none = load(source, validation=0)
    assert none.validation is None
    assert len(none.train) == 20
    assert none.said[1:] == (f"--validation 0: the 4 validation images of {source} are not used",)
    rows, said = check(source)
    assert [(row.split, row.count) for row in rows] == [("train", 20), ("validation", 4), ("test", 6)]
    assert said == splits.said[:1]


def test_a_source_without_test_images_gives_up_a_tenth_and_keeps_its_validation_images(tmp_path: Path):
    np.savez(tmp_path / "a.npz", train_images=IMAGES[:20], val_images=IMAGES[20:])
    splits = load(f"npz:{tmp_path / 'a.npz'}")
    assert splits.validation is not None
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (18, 10, 2)
    assert splits.test.note == "no official test split: 2 of 20 images held out"


def test_what_is_read_and_what_is_left_out_is_said(tmp_path: Path, monkeypatch):
    np.savez(tmp_path / "a.npz", images=IMAGES, ids=np.arange(30), codes=np.arange(30))
    monkeypatch.chdir(tmp_path)
    splits = load("npz:a.npz")
    assert splits.where == str(tmp_path / "a.npz")
    assert splits.said == (
        f"npz:a.npz is read from {tmp_path / 'a.npz'}",
        "left out of npz:a.npz: arrays ids, codes",
    )
    np.save(tmp_path / "a.npy", IMAGES)
    np.save(tmp_path / "b.npy", np.arange(30))
    assert load("npy:a.npy,b.npy").where == f"{tmp_path / 'a.npy'},{tmp_path / 'b.npy'}"
    assert (load("digits").where, load("digits").said) == ("", ())


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
    plain, splits = load(source, protocol="8bit"), load(source, protocol=protocol)
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
        load(f"npz:{tmp_path / 'one.npz'}")
    np.savez(tmp_path / "unlike.npz", train_images=IMAGES, test_images=IMAGES[:, 1:])
    with refused(DataError, "unlike.npz", "(1, 5, 4)", "(1, 4, 4)"):
        load(f"npz:{tmp_path / 'unlike.npz'}")


FORMATS = ("npz", "npy", "h5", "mat", "amat", "pt", "safetensors", "parquet", "zip", "tar")


def test_the_table_is_complete():
    assert list(SOURCES) == ["digits", "shapes", "mnist", "svhn", "frey", "idx", *FORMATS, "folder"]
    assert [name for name, entry in SOURCES.items() if entry.protocol != "8bit"] == ["digits", "mnist"]


def test_a_folder_named_alone_is_told_how_to_be_written(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecError, match=r"did you mean folder:photos\?"):
        load("photos")
