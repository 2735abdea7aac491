"""docs/data.md: each example is run on generated files, and the formats and options of the page are all there are."""

import io
import json
import re
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from scipy.io import savemat

from vaelab.cli.main import main
from vaelab.data import SOURCES, load_data
from vaelab.data.formats.options import LAYOUT, NAMED

h5py = pytest.importorskip("h5py")
arrow = pytest.importorskip("pyarrow")
tables = pytest.importorskip("pyarrow.parquet")

PAGE = (Path(__file__).parents[1] / "docs" / "data.md").read_text()
EXAMPLES = list(dict.fromkeys(re.findall(rf"`((?:{'|'.join(SOURCES)}):[^` ]+)`", PAGE)))
random = np.random.default_rng(0)
RGB, LABELS = random.integers(0, 256, (12, 8, 6, 3), np.uint8), np.arange(12) % 3
GREY = np.ascontiguousarray(RGB[..., 0])
SQUARE, BITS = random.random((12, 28, 28)), random.integers(0, 2, (12, 784))
FLAT = RGB.transpose(0, 3, 1, 2).reshape(12, -1)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """The files of the page."""
    at = tmp_path_factory.mktemp("files")
    _image_files(at)
    _numpy_files(at)
    _matlab_and_hdf5_files(at)
    (at / "binarized_mnist").mkdir()
    for split in ("train", "valid", "test"):
        np.savetxt(at / "binarized_mnist" / f"binarized_mnist_{split}.amat", BITS, "%d")
    np.savetxt(at / "mnist_basic.amat", np.c_[SQUARE.reshape(12, -1), LABELS])
    torch.save({"x": torch.from_numpy(GREY), "y": torch.from_numpy(LABELS)}, at / "tensors.pt")
    torch.save((torch.from_numpy(GREY), torch.from_numpy(LABELS)), at / "training.pt")
    named = {"train_images": GREY, "train_labels": LABELS, "test_images": GREY, "test_labels": LABELS}
    save_file({name: torch.from_numpy(array).clone() for name, array in named.items()}, at / "images.safetensors")
    return at


def _image_files(at: Path) -> None:
    names = {f"{split}/{LABELS[k]}/{k}.png": k for split in ("train", "test") for k in range(12)}
    with zipfile.ZipFile(at / "photos.zip", "w") as archive, tarfile.open(at / "photos.tar.gz", "w:gz") as tar:
        for name, k in names.items():
            header = tarfile.TarInfo(name)
            header.size = len(_png(k))
            archive.writestr(name, _png(k))
            tar.addfile(header, io.BytesIO(_png(k)))
        archive.extractall(at / "photos")
    files = [{"bytes": _png(k), "path": None} for k in range(12)]
    tables.write_table(arrow.table({"picture": files, "breed": LABELS}), at / "cats.parquet")
    (at / "cats").mkdir()
    named = {"huggingface": json.dumps({"info": {"features": {"label": {"names": ["a", "b", "c"]}}}})}
    for split in ("train", "validation", "test"):
        table = arrow.table({"image": files, "label": LABELS}).replace_schema_metadata(named)
        tables.write_table(table, at / "cats" / f"{split}-00000-of-00001.parquet")


def _png(k: int) -> bytes:
    content = io.BytesIO()
    Image.fromarray(RGB[k]).save(content, "PNG")
    return content.getvalue()


def _numpy_files(at: Path) -> None:
    column = LABELS[:, None]
    np.savez(at / "arrays.npz", train_images=RGB, train_labels=LABELS, test_images=RGB, test_labels=LABELS)
    np.savez(
        at / "pathmnist.npz",
        train_images=RGB,
        val_images=RGB,
        test_images=RGB,
        train_labels=column,
        val_labels=column,
        test_labels=column,
    )
    np.savez(at / "mnist.npz", x_train=GREY, y_train=LABELS, x_test=GREY, y_test=LABELS)
    bits = BITS.reshape(12, 28, 28).astype(np.uint8)
    np.savez(at / "dsprites.npz", imgs=bits, latents_classes=np.stack([LABELS, LABELS], 1), latents_values=SQUARE[:, 0])
    np.savez(at / "mine.npz", a=GREY, b=GREY)
    np.savez(at / "flat.npz", images=FLAT)
    np.savez(at / "last.npz", images=RGB)
    np.save(at / "images.npy", GREY)
    np.save(at / "labels.npy", LABELS)
    np.save(at / "columns.npy", np.stack([image.ravel(order="F") for image in GREY], 1))


def _matlab_and_hdf5_files(at: Path) -> None:
    faces = random.integers(0, 256, (12, 560), np.uint8)
    savemat(at / "frey_rawface.mat", {"ff": faces.T})
    savemat(at / "images.mat", {"X": RGB.transpose(1, 2, 3, 0), "y": LABELS[:, None]})
    letters, one_hot = np.stack([image.ravel(order="F") for image in SQUARE], 1), np.eye(3)[:, LABELS]
    savemat(at / "chardata.mat", {"data": letters, "target": one_hot, "testdata": letters, "testtarget": one_hot})
    with h5py.File(at / "images.h5", "w") as file:
        file["pixels"], file["kind"] = RGB, LABELS
    with h5py.File(at / "3dshapes.h5", "w") as file:
        file["images"], file["labels"] = RGB, np.stack([LABELS / 2, LABELS / 4], 1)
    with h5py.File(at / "usps.h5", "w") as file:
        for split in ("train", "test"):
            file[f"{split}/data"], file[f"{split}/target"] = SQUARE[:, :16, :16].reshape(12, 256), LABELS
    with h5py.File(at / "v73.mat", "w", userblock_size=512) as file:
        file["X"], file["y"] = RGB.transpose(0, 3, 2, 1), LABELS[None] * 1.0


@pytest.mark.parametrize("example", EXAMPLES)
def test_each_example_is_read(example: str, files: Path, monkeypatch):
    monkeypatch.chdir(files)
    splits = load_data(example)
    row = next((line for line in PAGE.splitlines() if f"| `{example}` |" in line), "")
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    if len(cells) == 4:  # the first table: format, example, splits, labels
        assert (splits.train.labels is None) == cells[3].startswith("none")
        assert (splits.train.factors is not None) == ("are the factors" in cells[3])
        assert ("no official test split" in splits.test.note) == (cells[2] == "none" or "you give" in cells[2])


@pytest.mark.parametrize(
    ("example", "images"),
    [
        ("mat:images.mat:images=X:labels=y:axes=HWCN", RGB.transpose(0, 3, 1, 2)),
        ("h5:v73.mat:images=X:labels=y:axes=NCWH", RGB.transpose(0, 3, 1, 2)),
        ("npz:last.npz:axes=NHWC", RGB.transpose(0, 3, 1, 2)),
        ("npz:flat.npz:shape=3x8x6", RGB.transpose(0, 3, 1, 2)),
        ("npy:columns.npy:shape=8x6:order=F", GREY[:, None]),
    ],
)
def test_the_examples_of_the_options_read_the_same_images(example: str, images: np.ndarray, files: Path, monkeypatch):
    assert example in EXAMPLES
    monkeypatch.chdir(files)
    splits = load_data(example, validation=0)
    read = np.concatenate([splits.train.images[:], splits.test.images[:]])
    assert sorted(image.tobytes() for image in read) == sorted(image.tobytes() for image in images)


def test_every_format_and_option_is_on_the_page():
    formats = {name for name, entry in SOURCES.items() if entry.argument} - {"idx"}
    assert {example.partition(":")[0] for example in EXAMPLES} == formats
    options = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`[^|]+) \|", PAGE, re.MULTILINE))))
    assert options >= {"images", "labels", "factors", "val_images", "test_images", *LAYOUT}
    assert {f"{split}_{kind}" for split in ("val", "test") for kind in ("images", "labels", "factors")} < set(NAMED)


def test_what_was_inferred_is_printed(files: Path, monkeypatch, capsys):
    monkeypatch.chdir(files)
    assert main(["data", "check", "npz:dsprites.npz"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[:3] == [
        f"npz:dsprites.npz is read from {files / 'dsprites.npz'}",
        "dsprites.npz: 0 is read as black, 1 as white",
        "left out of npz:dsprites.npz: array latents_values",
    ]


@pytest.mark.parametrize("command", ["data check npz:mnist.npz:images=x", "data check h5:usps.h5:shape=16x17"])
def test_a_mistake_is_one_line_and_exit_2(command: str, files: Path, monkeypatch, capsys):
    monkeypatch.chdir(files)
    assert main(command.split()) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
