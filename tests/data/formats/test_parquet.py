"""Image data sets as Hugging Face publishes them: files of images in the column of a table."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vaelab.data.formats import parquet
from vaelab.data.reading import parse_reading
from vaelab.system.errors import DataError, SpecError

arrow = pytest.importorskip("pyarrow")
tables = pytest.importorskip("pyarrow.parquet")
RGB = np.random.default_rng(0).integers(0, 256, (9, 6, 5, 3), np.uint8)
FIRST = RGB.transpose(0, 3, 1, 2)
NAMES = {"huggingface": json.dumps({"info": {"features": {"label": {"names": ["cat", "dog"]}}}})}


def png(image: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG")
    return content.getvalue()


def written(path: Path, at: slice, **columns: object) -> Path:
    images = [{"bytes": png(image), "path": None} for image in RGB[at]]
    content = {"image": images, "label": [number % 2 for number in range(9)[at]], **columns}
    path.parent.mkdir(parents=True, exist_ok=True)
    tables.write_table(arrow.table(content).replace_schema_metadata(NAMES), path, row_group_size=2)
    return path


def test_a_folder_has_the_splits_in_its_files_names(tmp_path: Path):
    written(tmp_path / "data" / "train-00000-of-00002.parquet", slice(0, 3), more=["a"] * 3)
    written(tmp_path / "data" / "train-00001-of-00002.parquet", slice(3, 6))
    written(tmp_path / "data" / "validation-00000-of-00001.parquet", slice(6, 7))
    written(tmp_path / "data" / "test-00000-of-00001.parquet", slice(7, 9))
    read = parquet.read(str(tmp_path))
    assert read.validation is not None
    assert read.test is not None
    for part, at in ((read.train, slice(6)), (read.validation, slice(6, 7)), (read.test, slice(7, 9))):
        np.testing.assert_array_equal(part.images, FIRST[at], strict=True)
        np.testing.assert_array_equal(part.labels, np.arange(9)[at] % 2, strict=True)
    assert read.class_names == {0: "cat", 1: "dog"}
    assert read.left_out == "column more"


def test_one_file_and_columns_of_other_names(tmp_path: Path):
    content = {"img": [png(image) for image in RGB], "fine": list(range(9))}
    tables.write_table(arrow.table(content), tmp_path / "a.parquet")
    read = parquet.read(f"{tmp_path / 'a.parquet'}:label=fine")
    np.testing.assert_array_equal(read.train.images, FIRST, strict=True)
    np.testing.assert_array_equal(read.train.labels, np.arange(9), strict=True)
    assert parquet.read(f"{tmp_path / 'a.parquet'}:image=img").train.labels is None
    with pytest.raises(SpecError, match="'images=img'"):
        parquet.read(f"{tmp_path / 'a.parquet'}:images=img")


@pytest.mark.parametrize(
    ("columns", "options", "words"),
    [
        ({"a": [1, 2]}, "", ("no column image", "one of a")),
        ({"image": [png(RGB[0])] * 2}, ":label=class", ("no column class", "one of image")),
        ({"image": ["a.png", "b.png"]}, "", ("row 0: a value of type string", "the content of an image file")),
        ({"image": [png(RGB[0]), None]}, "", ("row 1: no bytes",)),
        ({"image": [png(RGB[0]), b"-"]}, "", ("row 1: not a PNG",)),
        ({"image": [png(RGB[0]), png(RGB[0, :3])]}, "", ("row 1: 3 x 5 RGB, but", "row 0: 6 x 5 RGB")),
        ({"image": [png(RGB[0])] * 2, "label": [1, None]}, "", ("rows without a label",)),
        ({"image": [png(RGB[0])] * 2, "label": ["a", "b"]}, "", ("label: object", "whole numbers")),
        ({"image": arrow.array([], arrow.binary())}, "", ("0 of 0 rows",)),
    ],
)
def test_tables_that_are_not_images_are_refused(tmp_path: Path, refused, columns, options: str, words):
    path = tmp_path / "a.parquet"
    tables.write_table(arrow.table(columns), path)
    with refused(DataError, path, *words):
        parquet.read(f"{path}{options}")


def test_a_folder_without_training_files_is_refused(tmp_path: Path, refused):
    with refused(DataError, tmp_path, "no split", "(none)"):
        parquet.read(str(tmp_path))
    written(tmp_path / "test-0.parquet", slice(2))
    with refused(DataError, tmp_path, "of test", "with training images"):
        parquet.read(str(tmp_path))
    written(tmp_path / "train-0.parquet", slice(2))
    written(tmp_path / "other.parquet", slice(2))
    with refused(DataError, tmp_path, "among them other.parquet"):
        parquet.read(str(tmp_path))


def test_damaged_files_are_refused(tmp_path: Path, refused):
    whole = written(tmp_path / "a.parquet", slice(9)).read_bytes()
    damaged = bytearray(whole)
    damaged[20:60] = bytes(40)
    for name, content in {"empty": b"", "short": whole[:-9], "text": b"no table" * 9, "damaged": damaged}.items():
        (tmp_path / name).write_bytes(content)
        with refused(DataError, tmp_path / name):
            parquet.read(str(tmp_path / name))
    with refused(DataError, "nowhere.parquet", "no such file"):
        parquet.read("nowhere.parquet")


def test_a_group_of_rows_larger_than_memory_is_not_read(tmp_path: Path, refused, monkeypatch):
    path = written(tmp_path / "a.parquet", slice(9))
    monkeypatch.setattr("vaelab.system.memory.free_bytes", lambda: 100)
    monkeypatch.setattr(parquet, "NAME_BYTES", 1)
    with refused(DataError, path, "a group of rows: needs", "smaller groups of rows"):
        parquet.read(str(path))


def test_names_of_more_rows_than_memory_holds_are_not_made(tmp_path: Path, refused, monkeypatch):
    path = written(tmp_path / "a.parquet", slice(9))
    monkeypatch.setattr("vaelab.system.memory.free_bytes", lambda: 1000)
    with refused(DataError, path, "9 rows: needs"):
        parquet.read(str(path))


def test_rows_are_converted_and_grey_in_one_split_becomes_rgb_in_all(tmp_path: Path, refused):
    written(tmp_path / "train-0.parquet", slice(3))
    images = [png(RGB[3, :, :, 0]), png(np.zeros((4, 4, 4), np.uint8))]  # grey, and clear
    tables.write_table(arrow.table({"image": images, "label": [1, 0]}), tmp_path / "test-0.parquet")
    with refused(DataError, "test-0.parquet, row 1: transparent pixels", "use --convert"):
        parquet.read(str(tmp_path))
    read = parquet.read(str(tmp_path), parse_reading(resize="6x5", convert=True))
    assert read.test is not None
    np.testing.assert_array_equal(read.train.images, FIRST[:3], strict=True)
    np.testing.assert_array_equal(read.test.images[0], FIRST[3, :1].repeat(3, 0), strict=True)
    assert (read.test.images[1] == 255).all()
    np.testing.assert_array_equal(read.test.labels, [1, 0])
    assert read.said == (
        f"sizes in parquet:{tmp_path}: 6 x 5: 4, 4 x 4: 1; 1 of 5 images are resized to 6 x 5 by Pillow's filter "
        "LANCZOS",
        f"converted in parquet:{tmp_path}: 1 transparent, put on white; 1 grey, made RGB",
    )
    assert parquet.read(str(tmp_path), parse_reading(convert=True, grey=True, resize="3x3")).train.images.shape[1] == 1


def test_labels_of_a_table_are_in_its_column(tmp_path: Path, refused):
    path = written(tmp_path / "a.parquet", slice(4))
    with refused(SpecError, f"labels with parquet:{path}", "a column of labels", "label=NAME"):
        parquet.read(str(path), parse_reading(labels=r"name:(\d)"))


def test_without_pyarrow_the_package_is_named(tmp_path: Path, refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with refused(DataError, "pyarrow is not installed", "pip install 'vaelab[parquet]'"):
        parquet.read(str(written(tmp_path / "a.parquet", slice(2))))
