"""Files of tensors: what torch.save and safetensors wrote. Nothing in them is executed."""

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.data.conftest import Trap
from vaelab.data.formats import tensors
from vaelab.system.errors import DataError

random = np.random.default_rng(0)
BANDS = torch.from_numpy(random.integers(0, 256, (6, 13, 16, 20), np.uint8))
GREY = BANDS[:, 0].contiguous()
LABELS = torch.arange(6)


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (GREY, ""),
        ((GREY, LABELS), ""),
        ({"images": GREY, "labels": LABELS}, ""),
        ({"x_train": GREY, "y_train": LABELS, "other": LABELS}, ""),
        ({"a": GREY.flatten(1), "b": LABELS}, ":images=a:labels=b:shape=16x20"),
        ({"a": GREY.permute(1, 2, 0), "b": LABELS}, ":images=a:labels=b:axes=HWN"),
        (torch.nn.Parameter(GREY / 255).data, ""),
        ((GREY / 255).double(), ""),
    ],
    ids=["tensor", "pair", "dictionary", "Keras", "flat", "HWN", "float32", "float64"],
)
def test_each_content_of_torch_save_reads_the_same_images(tmp_path: Path, content, options: str):
    read = tensors.pt(f"{saved(tmp_path / 'a.pt', content)}{options}")
    np.testing.assert_array_equal(read.train.images, GREY[:, None].numpy(), strict=True)
    if not isinstance(content, torch.Tensor):
        np.testing.assert_array_equal(read.train.labels, LABELS.numpy(), strict=True)


def test_thirteen_bands_and_small_floats(tmp_path: Path):
    path = tmp_path / "a.safetensors"
    save_file({"images": (BANDS > 99).bfloat16(), "labels": LABELS}, path)
    read = tensors.safetensors(str(path))
    np.testing.assert_array_equal(read.train.images, 255 * (BANDS > 99).numpy().astype(np.uint8), strict=True)
    np.testing.assert_array_equal(read.train.labels, LABELS.numpy(), strict=True)
    assert read.said == (f"{path}: 13 channels, the second axis of shape (6, 13, 16, 20)",)


@pytest.mark.parametrize("name", ["a.pt", "a.safetensors"])
def test_what_was_read_does_not_depend_on_the_file_any_more(tmp_path: Path, name: str):
    path, read = tmp_path / name, tensors.pt if name == "a.pt" else tensors.safetensors
    (saved if name == "a.pt" else lambda at, content: save_file(content, at))(path, {"images": GREY})
    images = read(str(path)).train.images
    with path.open("r+b") as file:
        file.truncate(10)
    np.testing.assert_array_equal(images, GREY[:, None].numpy())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"images": GREY, "epoch": 3}, ("'epoch' is of type int",)),
        ({"images": GREY, "more": {"a": GREY}}, ("'more' is of type dict",)),
        ({0: GREY}, ("a tensor called 0",)),
        ([GREY, LABELS, LABELS], ("an object of type list",)),
        (3, ("an object of type int",)),
        ({"images": GREY.to_sparse()}, ("torch.sparse_coo tensor",)),
        ({"images": GREY, "p": torch.nn.Parameter(torch.ones(2))}, ("'p' is of type Parameter",)),
        ({"pictures": GREY}, ("arrays pictures", "images=KEY")),
        ({"images": GREY * 2.0}, ("float32 values from 0.0 to",)),
        ({"images": GREY[:0]}, ("no pixels",)),
    ],
    ids=["number", "nested", "no name", "three", "no tensor", "sparse", "parameter", "names", "values", "none"],
)
def test_more_than_tensors_and_other_tensors_are_refused(tmp_path: Path, refused, content, words: tuple[str, ...]):
    path = saved(tmp_path / "a.pt", content)
    with refused(DataError, path, *words):
        tensors.pt(str(path))


def test_what_would_be_executed_is_refused_and_never_run(tmp_path: Path, refused, trap: Trap):
    torch.save({"images": GREY, "trap": trap}, tmp_path / "a.pt")
    with refused(DataError, tmp_path / "a.pt", "more than tensors, and reading it would run its code"):
        tensors.pt(str(tmp_path / "a.pt"))
    (tmp_path / "b.pt").write_bytes(pickle.dumps(trap))
    torch.save({"trap": trap}, tmp_path / "c.pt", _use_new_zipfile_serialization=False)
    for name in ("b.pt", "c.pt"):
        with refused(DataError, tmp_path / name, "not an archive as torch writes it", "torch.save"):
            tensors.pt(str(tmp_path / name))
    assert not trap.trace.exists()


def test_a_tensor_that_repeats_one_number_for_terabytes_is_refused(tmp_path: Path, refused):
    path = saved(tmp_path / "a.pt", {"images": torch.ones(1, 1, 1, 1).expand(10**6, 3, 1000, 1000)})
    assert path.stat().st_size < 10_000
    with refused(DataError, path, "images: needs 24,000.0 GB of memory"):
        tensors.pt(str(path))


def test_a_tensor_that_is_longer_than_its_values_is_refused(tmp_path: Path, refused):
    path = saved(tmp_path / "a.pt", GREY)
    with zipfile.ZipFile(path) as archive:
        parts = {one.filename: archive.read(one) for one in archive.infolist()}
    (name,) = (name for name in parts if name.endswith("data/0"))
    parts[name] = parts[name][:100]
    with zipfile.ZipFile(path, "w") as archive:
        for part, content in parts.items():
            archive.writestr(part, content)
    with refused(DataError, path, "damaged"):
        tensors.pt(str(path))


@pytest.mark.parametrize("read", [tensors.pt, tensors.safetensors])
def test_other_and_damaged_files_are_refused(tmp_path: Path, refused, read):
    save_file({"images": GREY}, tmp_path / "whole")
    if read is tensors.pt:
        saved(tmp_path / "whole", {"images": GREY})
    whole = (tmp_path / "whole").read_bytes()
    huge = (2**62).to_bytes(8, "little") + b"{}"
    sized = b'{"images":{"dtype":"U8","shape":[0,18446744073709551615,8],"data_offsets":[0,0]}}'
    contents = {"empty": b"", "short": whole[:-100], "text": b"no tensors" * 99, "huge": huge}
    contents["sized"] = len(sized).to_bytes(8, "little") + sized  # more than torch counts to
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with refused(DataError, tmp_path / name):
            read(str(tmp_path / name))
    with refused(DataError, "nowhere", "No such file"):
        read("nowhere")
    with refused(DataError, tmp_path):
        read(str(tmp_path))


@pytest.mark.parametrize("sizes", [(0, 2**40, 2**40), (0, -1, 8), (0, -(2**63), 8)], ids=str)
def test_sizes_that_no_array_has_are_refused(tmp_path: Path, refused, sizes):
    """torch reads a shape of any numbers if the tensor has no values."""
    with zipfile.ZipFile(saved(tmp_path / "whole", {"images": GREY[:2, :8, :8].clone()})) as whole:
        files = {name: whole.read(name) for name in whole.namelist()}
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        for name, content in files.items():
            numbers = b"".join(pickle.dumps(size, 2)[2:-1] for size in sizes)
            archive.writestr(name, content.replace(b"K\x02K\x08K\x08", numbers))
    with refused(DataError, tmp_path / "a.pt", "damaged"):
        tensors.pt(str(tmp_path / "a.pt"))


def test_a_compressed_archive_is_refused(tmp_path: Path, refused):
    """A few bytes may become gigabytes."""
    with zipfile.ZipFile(tmp_path / "a.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", bytes(10_000))
    with refused(DataError, tmp_path / "a.pt", "not an archive as torch writes it"):
        tensors.pt(str(tmp_path / "a.pt"))


ODD = {
    "complex32": lambda: torch.zeros(3, 1, 4, 4, dtype=torch.complex32),
    "quint8": lambda: torch.quantize_per_tensor(torch.zeros(3, 1, 4, 4), 0.1, 0, torch.quint8),
    "a nested tensor": lambda: torch.nested.nested_tensor([torch.zeros(2, 4, 4), torch.zeros(1, 4, 4)]),
    "float4_e2m1fn_x2": lambda: torch.zeros(3, 1, 4, 4, dtype=torch.uint8).view(torch.float4_e2m1fn_x2),
    "bits8": lambda: torch.zeros(3, 1, 4, 4, dtype=torch.uint8).view(torch.bits8),
}


@pytest.mark.filterwarnings("ignore")  # torch warns of what it makes here
@pytest.mark.parametrize("kind", ODD)
def test_values_that_are_no_numbers_of_an_array_are_refused(tmp_path: Path, refused, kind):
    torch.save({"images": ODD[kind]()}, tmp_path / "a.pt")
    with refused(DataError, tmp_path / "a.pt", kind):
        tensors.pt(str(tmp_path / "a.pt"))
