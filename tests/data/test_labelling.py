import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vaelab.data import name_pattern
from vaelab.data.formats import folder
from vaelab.data.labelling import FromCsv, parse_labels
from vaelab.data.reading import parse_reading
from vaelab.system.errors import DataError, SpecError


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for number, name in enumerate(["train/a/7_x.png", "train/b/8_y.png", "train/7_z.png", "test/10_w.png"]):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), 40 * number + 10, np.uint8)).save(path)
    return tmp_path / "images"


def read(images: Path, labels: str) -> tuple[list[int], list[int], dict[int, str]]:
    """The labels of the training and the test images, and the names of the classes."""
    contents = folder.read(str(images), parse_reading(labels=labels))
    return contents.train.labels.tolist(), contents.test.labels.tolist(), contents.class_names


def test_the_first_group_of_a_pattern_is_the_class(images: Path):
    assert read(images, r"name:(\d+)_.*") == ([7, 7, 8], [10], {7: "7", 8: "8", 10: "10"})
    train, test, names = read(images, r"name:.*_(.)")
    assert [names[label] for label in train + test] == ["z", "x", "y", "w"]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ("name:.*", ("without a group", "a group in brackets")),
        ("name:(", ("missing )", "a regular expression")),
        ("name:(a){99999999999999999}", ("too large",)),
        (f"name:{'(' * 499}a{')' * 499}", ("nested too deeply",)),
        (f"name:{'(' * 5000}", ("at most 1,000 characters",)),
        ("name:", ("csv:FILE",)),
        ("csv:", ("csv:FILE",)),
        ("json:a", ("csv:FILE",)),
        ("csv:a.csv:label=", ("name each column once",)),
        ("csv:a.csv:label=a:label=b", ("name each column once",)),
    ],
)
def test_what_gives_no_labels_is_refused_before_an_image_is_read(refused, labels: str, words: tuple[str, ...]):
    with refused(SpecError, *words):
        parse_reading(labels=labels)


def test_a_pattern_begins_at_the_beginning_of_the_name(images: Path, refused):
    with refused(DataError, "4 of 4 names give no label"):
        read(images, "name:([wxyz])")
    with refused(DataError, "1 of 4 names give no label: test/10_w.png"):
        read(images, "name:([78]?)")


def test_a_pattern_that_needs_forever_is_stopped(images: Path, refused, monkeypatch):
    """It may be that of another person's run. The processor time is limited in the process that matches."""
    monkeypatch.setattr(name_pattern, "LIMIT_SECONDS", 1)
    Image.fromarray(np.full((4, 4), 200, np.uint8)).save(images / "train" / f"{'a' * 60}b.png")
    began = time.monotonic()
    with refused(DataError, "'name:((a+)+)$', which takes too long for 5 names", "a repetition inside a repetition"):
        read(images, "name:((a+)+)$")
    assert time.monotonic() - began < name_pattern.WAIT_SECONDS / 2


def test_a_pattern_that_may_mean_something_else_one_day_says_nothing(images: Path, capfd, recwarn):
    assert read(images, "name:([[0-9]+)")[1] == [10]
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


def test_names_that_do_not_match_are_listed(images: Path, refused):
    for number in range(12):
        Image.fromarray(np.full((4, 4), 200, np.uint8)).save(images / "train" / f"no{number:02}.png")
    with refused(DataError, images, "12 of 16 names give no label", "no09.png, and 2 more", r"(\d+)_"):
        read(images, r"name:(\d+)_")


def test_the_columns_of_a_csv_file_are_read(images: Path, monkeypatch):
    rows = "train/a/7_x.png,cat\n8_y.png,dog\n./train/7_z.png,cat\n10_w.png,ape\n"
    (images / "labels.csv").write_text("file,label\n" + rows, encoding="utf-8-sig")
    expected = ([1, 1, 2], [0], {0: "ape", 1: "cat", 2: "dog"})
    assert read(images, "csv:labels.csv") == expected  # in the folder of the images
    assert read(images, f"csv:{images / 'labels.csv'}") == expected
    (images.parent / "other.csv").write_text(
        "id,kind of animal,name\n"
        + "".join(
            f'{number},"{row.split(",")[1]}",{row.split(",")[0]}\n' for number, row in enumerate(rows.splitlines())
        )
    )
    monkeypatch.chdir(images.parent)
    assert read(images, "csv:other.csv:label=kind of animal:file=name") == expected
    assert parse_labels("csv:C:\\a.csv:file=name") == FromCsv("C:\\a.csv", "name")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,label\n7_x.png,cat\n", ("no column 'file', but name, label", "file=COLUMN")),
        ("file\n7_x.png\n", ("no column 'label', but file",)),
        ("", ("no column 'file': no rows",)),
        ("file,label\n7_x.png,cat\n7_z.png,cat\n", ("2 images have no row: test/10_w.png, train/b/8_y.png",)),
        (
            "file,label\n" + "".join(f"{n}_{c}.png,1\n" for n, c in ["7x", "8y", "7z", (10, "w")]) + "a.png,2\n",
            ("1 of its files are not in",),
        ),
        ("file,label\n7_x.png,cat\n7_x.png,dog\n", ("row 3: 7_x.png is named twice",)),
        ("file,label\n7_x.png,\n", ("row 2: 7_x.png has no label",)),
        ('file,label\n"7_x.png,cat\n', ("damaged",)),
    ],
)
def test_a_csv_file_that_does_not_fit_is_refused(images: Path, refused, text: str, words: tuple[str, ...]):
    (images / "labels.csv").write_text(text)
    with refused(DataError, "labels.csv", *words):
        read(images, "csv:labels.csv")


def test_no_more_of_a_csv_file_is_kept_than_the_images_need(images: Path, refused):
    columns = ",".join(f"c{n}" for n in range(20_000))
    (images / "labels.csv").write_text(f"file,label,{columns}\n" + ",\n" * 500_000)
    tracemalloc.start()
    try:
        with refused(DataError, "labels.csv: more than 1,008 rows, for 4 images"):
            read(images, "csv:labels.csv")
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("label", ["1" * 5_000, "c" * 256])
def test_the_name_of_a_class_is_not_longer_than_that_of_a_folder(images: Path, refused, label: str):
    names = ("train/a/7_x.png", "8_y.png", "train/7_z.png", "10_w.png")
    (images / "labels.csv").write_text("file,label\n" + "".join(f"{name},{label}\n" for name in names))
    with refused(DataError, f"a name of a class of {len(label):,} characters", "at most 255"):
        read(images, "csv:labels.csv")


def test_a_name_that_two_images_have_and_files_on_both_sides_are_told(images: Path, refused):
    (images / "labels.csv").write_text("file,label\n" + "".join(f"gone{n:02}.png,1\n" for n in range(11)))
    with refused(DataError, "11 of its files are not in", "gone09.png, and 1 more", "and 4 images have no row"):
        read(images, "csv:labels.csv")
    (images / "test" / "10_w.png").rename(images / "test" / "7_x.png")
    (images / "labels.csv").write_text("file,label\n7_x.png,1\n")
    with refused(DataError, "row 2: 7_x.png is test/7_x.png and train/a/7_x.png"):
        read(images, "csv:labels.csv")
    with refused(DataError, "no nowhere.csv"):
        read(images, "csv:nowhere.csv")
