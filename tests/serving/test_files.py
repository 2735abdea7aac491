"""Tables and pictures: formats, names, and what is never half-written."""

import csv
import errno
import io
import os
import tracemalloc

import numpy as np
import pytest
from PIL import Image

import vaelab as vl
from vaelab.serving.folder import check_new_folder
from vaelab.serving.pictures import beside, check_pictures, enlarged, file_names, foreign, grid, grid_scale, write_each
from vaelab.serving.table import check_output, write_table
from vaelab.system import files

COLUMNS = {"name": ["a", "b, c"], "mean": np.array([[0.1, 2], [3, np.nan]], np.float32), "nll": np.array([1.5, 2.5])}


def test_csv_has_a_column_for_each_number(tmp_path):
    write_table(tmp_path / "t.csv", COLUMNS)
    with (tmp_path / "t.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {"name": "a", "mean_1": "0.1", "mean_2": "2.0", "nll": "1.5"}
    assert rows[1]["name"] == "b, c"
    assert rows[1]["mean_2"] == ""  # there is no number


def test_npz_has_an_array_for_each_column(tmp_path):
    write_table(tmp_path / "t.npz", COLUMNS)
    with np.load(tmp_path / "t.npz", allow_pickle=False) as found:
        assert found["name"].tolist() == ["a", "b, c"]
        np.testing.assert_array_equal(found["mean"], COLUMNS["mean"])


def test_npy_has_the_first_array(tmp_path):
    write_table(tmp_path / "t.npy", COLUMNS)
    np.testing.assert_array_equal(np.load(tmp_path / "t.npy"), COLUMNS["mean"])


def test_parquet_is_a_table_or_says_what_is_missing(tmp_path):
    try:
        from pyarrow import parquet
    except ImportError:
        with pytest.raises(vl.VaelabError, match="pip install pyarrow"):
            write_table(tmp_path / "t.parquet", COLUMNS)
        return
    write_table(tmp_path / "t.parquet", COLUMNS)
    found = parquet.read_table(tmp_path / "t.parquet").to_pydict()
    assert found["mean_1"] == pytest.approx([0.1, 3])


@pytest.mark.parametrize("ending", [".npz", ".npy", ".csv", ".parquet"])
def test_a_table_is_not_copied_into_memory(ending, tmp_path):
    if ending == ".parquet":
        pytest.importorskip("pyarrow.parquet")  # before the memory is measured
    rows, width = 25_000, 500 if ending[1:3] == "np" else 16
    columns = {"mean": np.random.default_rng(0).normal(size=(rows, width)).astype(np.float32), "name": ["a"] * rows}
    write_table(tmp_path / f"first{ending}", {"mean": columns["mean"][:2]})
    tracemalloc.start()
    write_table(tmp_path / f"t{ending}", columns)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < columns["mean"].nbytes
    if ending == ".parquet":
        file = pytest.importorskip("pyarrow.parquet").ParquetFile(tmp_path / f"t{ending}")
        assert (file.num_row_groups, file.metadata.num_rows) == (3, rows)
        np.testing.assert_array_equal(file.read()["mean_16"], columns["mean"][:, 15])
    if ending == ".csv":
        lines = (tmp_path / f"t{ending}").read_text().splitlines()
        assert len(lines) == 1 + rows
        assert lines[-1] == ",".join([*map(str, columns["mean"][-1]), "a"])


@pytest.mark.parametrize("ending", [".npz", ".npy", ".csv", ".parquet"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_what_stops_in_the_middle_leaves_nothing(ending, error, tmp_path, monkeypatch):
    if ending == ".parquet":
        pytest.importorskip("pyarrow.parquet")
    (tmp_path / f"t{ending}").write_text("mine")

    class Full(io.BytesIO):
        def write(self, content):
            raise error

    plain = files._temporary

    def full(path, mode):
        at, file = plain(path, mode)
        file.close()
        return at, Full()

    monkeypatch.setattr(files, "_temporary", full)
    with pytest.raises((vl.VaelabError, KeyboardInterrupt), match=r"no room to write|^$"):
        write_table(tmp_path / f"t{ending}", COLUMNS, True)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_an_output_that_exists_is_left_alone(tmp_path):
    (tmp_path / "t.csv").write_text("mine")
    with pytest.raises(vl.VaelabError, match="add --overwrite"):
        check_output(tmp_path / "t.csv", (".csv",), False)
    check_output(tmp_path / "t.csv", (".csv",), True)
    with pytest.raises(vl.VaelabError, match=r"expected a file that ends with \.csv"):
        check_output(tmp_path / "t.txt", (".csv",), False)


def test_a_folder_with_other_files_is_not_replaced(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years")
    with pytest.raises(vl.VaelabError, match=r"thesis\.tex"):
        check_new_folder(tmp_path / "mine", foreign, True)
    with pytest.raises(vl.VaelabError, match="add --overwrite"):
        check_new_folder(tmp_path / "mine", foreign, False)
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    with pytest.raises(vl.VaelabError, match="symbolic link"):
        check_new_folder(tmp_path / "link", foreign, True)


MINE = {
    "no table": {"wedding.png": b"us", "thesis.csv": b"years"},
    "another table": {"a.png": b"us", "images.csv": b"name,day\na.png,1\n"},
    "a picture more": {"a.png": b"us", "b.png": b"us", "images.csv": b"file,name\na.png,a\n"},
    "a table that is no text": {"a.png": b"us", "images.csv": b"file,name\na.png,\xff\n"},
    "a table alone": {"images.csv": b"id\n1\n"},
}


@pytest.mark.parametrize("kind", MINE)
def test_the_users_own_pictures_and_tables_are_not_replaced(kind, tmp_path):
    (tmp_path / "mine").mkdir()
    for name, content in MINE[kind].items():
        (tmp_path / "mine" / name).write_bytes(content)
    with pytest.raises(vl.VaelabError, match=r"has .*(no images\.csv of vaelab|vaelab did not write)"):
        write_each(tmp_path / "mine", np.zeros((1, 1, 3, 3), np.uint8), {"name": ["a"]}, True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "mine").iterdir()} == MINE[kind]


@pytest.mark.parametrize("hard_links", [True, False])
def test_a_file_that_appears_before_the_last_moment_is_not_replaced(hard_links, tmp_path, monkeypatch):
    path, fsync = tmp_path / "t.csv", os.fsync

    def late(file):
        fsync(file)
        path.write_text("precious")

    def no_links(*given):
        raise OSError(errno.EPERM, "Operation not permitted")

    if not hard_links:
        monkeypatch.setattr(os, "link", no_links)
        write_table(tmp_path / "u.csv", COLUMNS)
        (tmp_path / "u.csv").unlink()
    monkeypatch.setattr(os, "fsync", late)
    with pytest.raises(vl.VaelabError, match=r"t\.csv exists; .* add --overwrite"):
        write_table(path, COLUMNS)
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]
    write_table(path, COLUMNS, True)
    assert path.read_text() != "precious"


def test_a_folder_appears_as_a_whole_or_not_at_all(tmp_path):
    images = np.zeros((2, 1, 3, 3), np.uint8)
    write_each(tmp_path / "out", images, {"name": ["a", "b"]})
    with pytest.raises(vl.VaelabError, match="4 channels"):  # at the first picture
        write_each(tmp_path / "new", np.zeros((2, 4, 3, 3), np.uint8), {"name": ["a", "b"]})
    with pytest.raises(vl.VaelabError, match="4 channels"):
        write_each(tmp_path / "out", np.zeros((2, 4, 3, 3), np.uint8), {"name": ["a", "b"]}, True)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.png", "b.png", "images.csv"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    write_each(tmp_path / "out", images[:1], {"name": ["c"]}, True)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["c.png", "images.csv"]


def test_pictures_have_the_levels_and_the_table_their_names(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 5), np.uint8)
    write_each(tmp_path / "out", images, {"name": ["cat/1.jpg", "dog/1.jpg"], "error": np.array([1.0, 2.0])})
    found = np.asarray(Image.open(tmp_path / "out" / "cat_1.png"))
    np.testing.assert_array_equal(found, images[0].transpose(1, 2, 0))
    assert (tmp_path / "out" / "images.csv").read_text().splitlines()[1] == "cat_1.png,cat/1.jpg,1.0"


def test_names_of_files_are_different_and_stay_in_the_folder():
    names = ["a/b.png", "a/b.jpg", "../../etc/passwd", "/tmp/x.png", "..", ".hidden", "A_B.gif", "ü b:c.png"]
    files = file_names(names)
    assert files == [
        "a_b.png", "a_b-2.png", "etc_passwd.png", "tmp_x.png", "image.png", "hidden.png", "A_B-3.png", "ü_b_c.png",
    ]  # fmt: skip
    assert len(set(map(str.lower, file_names(["x" * 300] * 3)))) == 3


def test_a_grid_has_the_images_in_rows():
    images = np.arange(5, dtype=np.uint8).reshape(5, 1, 1, 1) * np.ones((1, 1, 4, 4), np.uint8)
    whole = grid(images)
    assert whole.shape == (1, 10, 16)  # two rows of three, with two white pixels between
    assert [whole[0, 0, 0], whole[0, 0, 6], whole[0, 0, 12], whole[0, 6, 0], whole[0, 6, 6]] == [0, 1, 2, 3, 4]
    assert (whole[0, 6:, 12:] == 255).all()
    assert beside([images, images]).shape == (5, 1, 4, 10)


def test_an_image_in_a_grid_has_64_pixels_unless_there_are_many():
    def scale(count, height, width, kinds=1):
        return grid_scale([np.zeros((count, 1, height, width), np.uint8)] * kinds)

    assert [scale(16, 8, 8), scale(16, 28, 28), scale(16, 28, 20), scale(16, 64, 64)] == [8, 3, 4, 1]
    assert [scale(10_000, 8, 8), scale(5_000, 8, 8, 2), scale(60_000, 28, 28)] == [5, 5, 1]
    image = np.arange(4, dtype=np.uint8).reshape(1, 1, 2, 2)
    np.testing.assert_array_equal(enlarged(image, 2)[0, 0, 1:3], [[0, 0, 1, 1], [2, 2, 3, 3]])


def test_an_ending_is_a_format_that_is_known(tmp_path):
    for name in ("x.gif", "x.jpg", "x.csv", "x.PNGX", "x.h5"):
        with pytest.raises(vl.VaelabError, match=r"x\..*; expected a file that ends with \.png or \.npz, or a folder"):
            check_pictures(tmp_path / name, False)
    for name in ("x", "x.PNG", "x.npz", "model-0.5", ".hidden"):
        assert check_pictures(str(tmp_path / name), False) == tmp_path / name
    with pytest.raises(vl.VaelabError, match="scale = 0; expected a whole factor of pictures from 1 to 64"):
        check_pictures(tmp_path / "x.png", False, 0)
    with pytest.raises(vl.VaelabError, match=r"scale = 2 with \.npz, which has no pictures"):
        check_pictures(tmp_path / "x.npz", False, 2)
