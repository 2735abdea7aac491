"""encode, sample and reconstruct, as they are typed."""

import csv
import errno
import os
import re
import shutil
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vaelab as vl
from tests.conftest import TINY
from tests.told import told
from vaelab.cli import terminal
from vaelab.cli.commands.score import alarm_line
from vaelab.cli.main import main
from vaelab.serving.scores import score as vl_score
from vaelab.system import files


@pytest.fixture
def photos(tmp_path, run):
    """Some test images of the run as files, in folders of classes."""
    data = vl.Run(run).data().test
    for i in range(6):
        at = tmp_path / "photos" / str(data.labels[i]) / f"{i}.png"
        at.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(data.images[i, 0]).save(at)
    return tmp_path / "photos"


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_folder_is_encoded_with_the_names_of_files_and_classes(run, photos, tmp_path, capsys):
    assert main(["encode", str(run), str(photos), "--out", str(tmp_path / "z.csv"), "--draws", "2"]) == 0
    assert "6" in capsys.readouterr().out
    found = rows(tmp_path / "z.csv")
    assert sorted(found[0]) == sorted(
        ["name", "label", "mean_1", "mean_2", "scale_1", "scale_2", "draws_1", "draws_2", "draws_3", "draws_4"]
    )
    assert {row["name"].split("/")[0] for row in found} == {row["label"] for row in found}
    latents = vl.load(run).encode([photos / row["name"] for row in found])
    np.testing.assert_allclose([[float(row["mean_1"]), float(row["mean_2"])] for row in found], latents.mean, rtol=1e-4)


def test_files_may_be_named_one_by_one(run, photos, tmp_path):
    names = sorted(map(str, photos.glob("*/*.png")))[:2]
    assert main(["encode", str(run), *names, "--out", str(tmp_path / "z.csv")]) == 0
    assert [row["name"] for row in rows(tmp_path / "z.csv")] == names


def test_image_files_of_another_size_can_be_resized(run, tmp_path):
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(levels).convert("RGB").save(tmp_path / "large.png")
    words = ["encode", str(run), str(tmp_path / "large.png"), "--out", str(tmp_path / "z.csv"), "--overwrite"]
    assert main(words) == 2
    assert main([*words, "--resize", "8x8", "--grey"]) == 0
    with Image.open(tmp_path / "large.png") as opened:
        small = opened.convert("L").resize((8, 8), Image.Resampling.LANCZOS)
    expected = vl.load(run).encode(small).mean[0]
    found = rows(tmp_path / "z.csv")[0]
    np.testing.assert_allclose([float(found["mean_1"]), float(found["mean_2"])], expected, rtol=1e-4, atol=1e-4)


def test_files_are_converted_as_the_training_images_were(run, photos, tmp_path):
    spec = TINY.model_copy(update={"data": f"folder:{photos}", "resize": "4x4", "protocol": "8bit", "validation": 0.0})
    small = vl.train(spec, tmp_path, "small", compile="never", callback=vl.SILENT)
    assert small.model().image_shape == (1, 4, 4)
    assert main(["encode", str(small.path), str(photos), "--out", str(tmp_path / "z.csv")]) == 0
    assert len(small.encode(photos)) == 6


def test_a_flag_replaces_only_its_own_part_of_how_the_training_images_were_read(run, photos, tmp_path, capsys):
    """The training resizes, converts and takes labels from names; each flag leaves the other two alone."""
    fields = {"resize": "4x4", "convert": True, "labels": r"name:(\d)", "protocol": "8bit", "validation": 0.0}
    spec = TINY.model_copy(update={"data": f"folder:{photos}", **fields})
    small = vl.train(spec, tmp_path, "small", compile="never", callback=vl.SILENT)
    new, out = tmp_path / "new" / "7-cat.png", tmp_path / "z.csv"
    new.parent.mkdir()
    deep = np.arange(256, dtype=np.uint16).reshape(16, 16) * 257
    Image.fromarray(np.stack([deep // 257] * 3, -1).astype(np.uint8)).save(new)  # in colour
    Image.fromarray(deep).save(new.with_name("8-dog.png"))  # of 16 bits
    words = ["encode", str(small.path), str(new.parent), "--out", str(out), "--overwrite"]
    assert "grey; expected 4 x 4 grey" not in told(capsys, *words)  # colour is not grey
    assert main([*words, "--grey"]) == 0
    assert [row["label"] for row in rows(out)] == ["7", "8"]
    one = rows(out)[0]
    assert main([*words, "--grey", "--resize", "crop:4x4", "--labels", "name:.*-(.*)[.]"]) == 0
    assert [row["label"] for row in rows(out)] == ["cat", "dog"]
    assert rows(out)[0] | {"label": "7"} == one  # a square: both cut and stretch it alike
    new.rename(new.with_name("cat.png"))  # a name without a label: the labels of the training do not fit
    assert main([*words, "--grey"]) == 0
    assert "label" not in rows(out)[0]


def test_images_have_the_names_of_their_files_where_there_are_files(run, photos):
    in_python, files = vl.load(run), sorted(map(str, photos.glob("*/*.png")))
    pictures = [Image.open(file) for file in files]
    for images in (files, np.array(files), np.array(files, object), pictures, tuple(map(Path, files))):
        assert in_python.encode(images).names == files
    assert in_python.encode(pictures[0]).names == files[:1]
    assert in_python.encode(photos).names == [os.path.relpath(file, photos) for file in files]
    for images in ([np.asarray(picture) for picture in pictures], [picture.copy() for picture in pictures]):
        assert in_python.encode(images).names == [*"012345"]


def test_python_chooses_a_split_as_the_command_does(run, photos, tmp_path):
    in_python = vl.load(run)
    test = in_python.encode(split="test")
    np.testing.assert_array_equal(test.mean, in_python.encode(in_python.data().test).mean)
    np.testing.assert_array_equal(test.mean, in_python.encode(in_python.data(), split="test").mean)
    assert len(in_python.encode()) == 1797
    for split in ("train", "test"):
        shutil.copytree(photos, tmp_path / "parts" / split)
    assert len(in_python.encode(tmp_path / "parts")) == 12
    assert in_python.score(tmp_path / "parts", samples=2, split="test").names == in_python.encode(photos).names
    assert in_python.reconstruct(tmp_path / "parts").names[0].startswith("train/")
    with pytest.raises(vl.VaelabError, match=r"no validation split in .*parts; expected one of train, test, all"):
        in_python.encode(tmp_path / "parts", split="validation")
    with pytest.raises(vl.VaelabError, match="split 'test' of images that are in hand"):
        in_python.encode(np.zeros((2, 8, 8)), split="test")
    with pytest.raises(vl.VaelabError, match="unknown split"):
        in_python.encode(split="tests")


def test_scores_have_p_values_and_flags(run, photos, tmp_path, capsys):
    data = vl.load(run).data()
    out, most = str(tmp_path / "s.csv"), len(data.validation)
    words = ["score", str(run), "--split", "test", "--samples", "20", "--out", out, "--overwrite"]
    assert main([*words, "--alarm", "0.2", "--normal", "0", "1"]) == 0
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 100
    assert "abnormal and" in said
    assert f"p_value is of nll_nats, from {most} calibration images: at least" in said
    found = rows(tmp_path / "s.csv")
    assert sum(row["flagged"] == "True" for row in found) == sum(float(row["p_value"]) <= 0.2 for row in found) > 0
    ranks = np.array([float(row["p_value"]) * (most + 1) for row in found])
    np.testing.assert_allclose(ranks, np.rint(ranks), atol=1e-6)
    assert main(["score", str(run), str(photos), "--out", out, "--overwrite", "--alarm", "0.01"]) == 0
    assert alarm_line(1, 10, 0.05) == "1 of 10 images has a p-value of at most 0.05:"
    assert alarm_line(0, 1, 0.05) == "0 of 1 image have a p-value of at most 0.05"
    assert re.search(r"^0 of 6 images have a p-value of at most 0.01\n\n", capsys.readouterr().out, re.MULTILINE)
    scores = vl.load(run).score(data.test, samples=20)
    np.testing.assert_allclose([float(row["nll_nats"]) for row in found], scores.nll_nats, rtol=1e-5)
    assert main([*words, "--by", "distortion"]) == 0
    (run / "examples.safetensors").unlink()
    assert main(words) == 0
    assert "p_value is absent" in capsys.readouterr().out


LATE = {
    "encode RUN PHOTOS --out OUT/z.csv": "z.csv",
    "encode RUN PHOTOS --out OUT/z.npz": "z.npz",
    "score RUN PHOTOS --samples 20 --out OUT/s.csv": "s.csv",
    "sample RUN --count 2 --out OUT/s.png": "s.png",
    "sample RUN --count 2 --out OUT/s.npz": "s.npz",
    "sample RUN --count 2 --out OUT/s": "s/sub/mine",
    "reconstruct RUN PHOTOS --out OUT/r": "r/mine",
    "reconstruct RUN PHOTOS --overwrite --out OUT/r": "r/mine.png",
}


@pytest.mark.parametrize("words", LATE)
def test_what_appears_while_a_command_works_stays(words, run, photos, tmp_path, monkeypatch, capsys):
    mine = tmp_path / "out" / LATE[words]

    @contextmanager
    def working(*given):
        mine.parent.mkdir(parents=True)
        mine.write_text("precious")
        yield lambda share: None

    monkeypatch.setattr(terminal, "working", working)
    named = {"RUN": str(run), "PHOTOS": str(photos)}
    said = told(capsys, *[named.get(word, word.replace("OUT", str(tmp_path / "out"))) for word in words.split()])
    assert "mine.png, and no images.csv of vaelab that names it" in said if "--overwrite" in words else "exists" in said
    assert mine.read_text() == "precious"
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == [mine]


def test_images_that_are_read_are_not_replaced(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["sample", str(run), "--count", "3", "--out", "in"]) == 0  # a folder that --overwrite may replace
    np.savez("a.npz", images=np.random.default_rng(0).integers(0, 256, (3, 8, 8), np.uint8))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for words in (
        "reconstruct RUN in --out in",
        "reconstruct RUN folder:in --out ./in",
        "reconstruct RUN in/sample-1.png --out in",
        "encode RUN a.npz --out a.npz",
        "encode RUN npz:a.npz:axes=NHW --out ../NAME/a.npz",
    ):
        typed = words.replace("RUN", str(run)).replace("NAME", tmp_path.name).split()
        assert "which has the images that are read" in told(capsys, *typed, "--overwrite")
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert main(["reconstruct", str(run), "in", "--out", "other"]) == 0
    assert main(["reconstruct", str(run), "in", "--out", "other", "--overwrite"]) == 0


def test_an_output_without_a_name_is_refused(run, tmp_path, monkeypatch, capsys):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for command in ("sample", "reconstruct", "export"):
        for out in (".", "", ".."):
            assert "expected a folder with a name" in told(capsys, command, run, "--overwrite", "--out", out)
    with pytest.raises(vl.VaelabError, match="a folder with a name"):
        vl.export(run, tmp_path / "a\0b" / "c", "weights", callback=vl.SILENT)
    assert not list((tmp_path / "here").iterdir())


def test_names_in_any_script_fit_into_those_of_files(run, photos, tmp_path):
    (photo,) = list(photos.glob("*/0.png"))
    for letter in "\U00020000é":
        photo = photo.rename(photo.with_name(letter * (250 // len(letter.encode()) - 2) + ".png"))
        assert main(["reconstruct", str(run), str(photo), "--out", str(tmp_path / f"out-{letter}")]) == 0
        assert main(["encode", str(run), str(photo), "--out", str(tmp_path / f"{letter * 58}.csv")]) == 0


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_a_name_that_is_not_text_is_told(run, photos, tmp_path, capsys):
    (photo,) = map(os.fsencode, photos.glob("*/0.png"))
    odd = os.path.join(os.path.dirname(photo), b"\xff.png")
    os.rename(photo, odd)
    for command, out in (("encode", "z.csv"), ("score", "s.csv"), ("reconstruct", "r")):
        assert "a name that is not UTF-8" in told(capsys, command, run, os.fsdecode(odd), "--out", tmp_path / out)


def test_names_are_printed_without_their_control_characters(run, photos, tmp_path, capsys):
    for number, path in enumerate(sorted(photos.glob("*/*.png"))):
        path.rename(path.with_name(f"\x1b[2J{number}.png"))
    assert (
        main(
            ["score", str(run), str(photos), "--samples", "20", "--alarm", "0.99", "--out", str(tmp_path / "s\x1b.csv")]
        )
        == 0
    )
    said = capsys.readouterr().out
    assert "\\x1b[2J0.png" in said
    assert "s\\x1b.csv" in said
    assert "\x1b" not in said
    assert rows(tmp_path / "s\x1b.csv")[0]["name"].endswith("\x1b[2J0.png")  # the table has the names as they are


def test_without_images_those_of_the_run_are_used(run, tmp_path):
    assert main(["encode", str(run), "--split", "test", "--out", str(tmp_path / "z.npz")]) == 0
    with np.load(tmp_path / "z.npz") as found:
        assert found["mean"].shape == (180, 2)
    assert main(["encode", str(run), "--out", str(tmp_path / "all.csv")]) == 0
    assert len(rows(tmp_path / "all.csv")) == 1797
    assert rows(tmp_path / "all.csv")[0]["name"] == "train/0"


def test_samples_are_pictures_or_a_grid_or_arrays(run, tmp_path, capsys):
    for out in ("grid.png", "arrays.npz", "pictures"):
        assert main(["sample", str(run), "--count", "5", "--out", str(tmp_path / out)]) == 0
    assert "p(z), seed 0" in capsys.readouterr().out
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.size == (3 * 64 + 2 * 2, 2 * 64 + 2)
    with Image.open(tmp_path / "pictures" / "sample-1.png") as picture:
        assert picture.size == (8, 8)
    assert main(["sample", str(run), "--count", "5", "--scale", "1", "--out", str(tmp_path / "exact.png")]) == 0
    with Image.open(tmp_path / "exact.png") as exact:
        assert exact.size == (28, 18)
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 5
    with np.load(tmp_path / "arrays.npz") as found:
        np.testing.assert_array_equal(found["images"], vl.load(run).sample(5).images)


def test_reconstructions_are_beside_the_images(run, photos, tmp_path):
    assert main(["reconstruct", str(run), str(photos), "--out", str(tmp_path / "rec")]) == 0
    for row in rows(tmp_path / "rec" / "images.csv"):
        both = np.asarray(Image.open(tmp_path / "rec" / row["file"]))
        np.testing.assert_array_equal(both[:, :8], np.asarray(Image.open(photos / row["name"])))
        # Pixels are rounded to levels in the picture
        error = ((both[:, :8] / 255 - both[:, 10:] / 255) ** 2).mean()
        assert float(row["squared_error"]) == pytest.approx(error, abs=2e-3)


def test_a_result_in_python_is_saved_as_the_command_writes_it(run, photos, tmp_path):
    here, in_python = tmp_path / "command", vl.load(run)
    files = sorted(map(str, photos.glob("*/*.png")))
    for command, results, endings, flags in (
        ("encode", in_python.encode(photos), (".npz", ".npy", ".csv"), []),
        ("score", in_python.score(photos, samples=20), (".npz", ".csv"), ["--samples", "20"]),
        ("reconstruct", in_python.reconstruct(photos), ("", ".png", ".npz"), []),
        ("sample", in_python.sample(5, seed=3), ("", ".png", ".npz"), ["--count", "5", "--seed", "3"]),
    ):
        for ending in endings:
            images = [] if command == "sample" else [str(photos)]
            assert main([command, str(run), *images, *flags, "--out", f"{here / command}{ending}"]) == 0
            results.save(f"{tmp_path / command}{ending}")
            with pytest.raises(vl.VaelabError, match="overwrite=True"):
                results.save(f"{tmp_path / command}{ending}")
            results.save(tmp_path / f"{command}{ending}", overwrite=True)
        with pytest.raises(vl.VaelabError, match=r"expected a file that ends with \.(npz|png)"):
            results.save(tmp_path / "x.gif")
    written = [path for path in sorted(here.rglob("*")) if path.is_file() and path.suffix != ".npz"]
    assert len(written) == 2 + 1 + (7 + 1) + (6 + 1)
    assert all((tmp_path / path.relative_to(here)).read_bytes() == path.read_bytes() for path in written)
    for path in here.glob("*.npz"):
        with np.load(path) as one, np.load(tmp_path / path.name) as other:
            assert {name: of.tolist() for name, of in one.items()} == {name: of.tolist() for name, of in other.items()}
    assert not (tmp_path / "x.gif").exists()
    assert in_python.encode(files).names == files
    scores = in_python.score(photos, samples=20)
    scores.save(tmp_path / "alarm.csv", alarm=0.2)
    assert [row["flagged"] == "True" for row in rows(tmp_path / "alarm.csv")] == scores.flagged(0.2).tolist()
    with pytest.raises(vl.VaelabError, match="no p_value: it needs the scores of validation images"):
        vl_score(in_python.model(), in_python.data().test.some(3), samples=2).save(tmp_path / "s.csv", alarm=0.2)
    assert not (tmp_path / "s.csv").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("encode RUN PHOTOS --out z.txt", "ends with .npz"),
        ("sample RUN --out x.gif", "x.gif; expected a file that ends with .png or .npz, or a folder"),
        ("reconstruct RUN PHOTOS --out x.csv", "x.csv; expected a file that ends with .png or .npz, or a folder"),
        ("sample RUN --scale 0 --out x.png", "scale = 0"),
        ("encode RUN nowhere/x --out z.csv", "nowhere/x: no such file or folder"),
        ("encode RUN nowhere --out z.csv", "data source 'nowhere', no file or folder of this name; expected one of"),
        ("encode RUN SMALL --out z.csv", "4 x 4 grey; expected 8 x 8 grey, the size of this model's images"),
        ("encode RUN SMALL/a.png --out z.csv", "4 x 4 grey; expected 8 x 8 grey"),
        ("encode RUN PHOTOS PHOTOS --out z.csv", "name folders and sources one at a time"),
        ("encode RUN --split all4 --out z.csv", "unknown split"),
        ("encode RUN PHOTOS --split test --out z.csv", "no test split"),
        ("encode RUN PHOTOS --draws -1 --out z.csv", "draws = -1"),
        ("score RUN PHOTOS --alarm 0 --out s.csv", "alarm = 0"),
        ("score RUN PHOTOS --alarm 1.5 --out s.csv", "alarm = 1.5"),
        ("score RUN PHOTOS --alarm 0.0001 --out s.csv", "expected at least 9,999"),
        ("score RUN PHOTOS --samples 0 --out s.csv", "samples = 0"),
        ("score RUN PHOTOS --by luck --out s.csv", "unknown score 'luck'"),
        ("score RUN PHOTOS --normal cat --out s.csv", "normal label cat"),
        ("score RUN PHOTOS --out s.npy", "ends with .npz, .csv"),
        ("encode RUN --resize 8x8 --out z.csv", "--resize, --grey, --convert or --labels without images"),
        ("encode RUN --labels name:(.) --out z.csv", "--resize, --grey, --convert or --labels without images"),
        ("encode RUN PHOTOS --labels csv:none.csv --out z.csv", "no none.csv"),
        ("encode RUN SMALL/a.png SMALL/a.png --labels name:(.) --out z.csv", "files that are named one by one"),
        ("encode RUN SMALL/a.png SMALL/a.png --split test --out z.csv", "no test split in image files"),
        ("encode RUN digits --grey --out z.csv", "resize, grey, convert or labels with digits"),
        ("encode RUN PHOTOS --resize 8 --out z.csv", "resize = '8'"),
        ("sample RUN --count 0 --out s.png", "0 samples"),
        ("sample RUN --labels 3 --out s.png", "not conditioned on labels"),
        ("reconstruct RUN PHOTOS --draws 0 --out rec", "draws = 0"),
        (f"reconstruct RUN PHOTOS --draws {10**30} --out rec", "draws of z: needs"),
        (f"encode RUN PHOTOS --draws {10**30} --out z.csv", "draws of 6 images: needs"),
        (f"sample RUN --count {10**30} --out s.npz", "samples: needs"),
        ("reconstruct RUN PHOTOS --out RUN", "add --overwrite"),
        ("reconstruct RUN PHOTOS --overwrite --out RUN", "expected a folder with files of vaelab only"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(words, says, run, photos, tmp_path, monkeypatch, capsys):
    (tmp_path / "small").mkdir()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "small" / "a.png")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    named = {"RUN": str(run), "PHOTOS": str(photos), "SMALL": str(tmp_path / "small")}
    typed = [named.get(word, word.replace("SMALL", named["SMALL"])) for word in words.split()]
    assert says in told(capsys, *typed)
    assert not list((tmp_path / "here").iterdir())
    assert (run / "result.json").exists()


def test_an_unfinished_run_is_told(run, photos, tmp_path, capsys):
    (run / "result.json").unlink()
    assert "expected a finished run" in told(capsys, "encode", run, photos, "--out", tmp_path / "z.csv")


def test_a_full_disk_leaves_nothing(run, photos, tmp_path, monkeypatch, capsys):
    def full(*given, **named):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "out").mkdir()
    monkeypatch.setattr(files.os, "fsync", full)
    assert "no room to write" in told(capsys, "encode", run, photos, "--out", tmp_path / "out" / "z.csv")
    assert "no room to write" in told(capsys, "reconstruct", run, photos, "--out", tmp_path / "out" / "rec")
    assert not list((tmp_path / "out").iterdir())


@pytest.fixture(scope="module")
def conditional(tmp_path_factory):
    """A model of two classes with names."""
    folder = tmp_path_factory.mktemp("classes")
    noise = np.random.default_rng(0)
    for name, low in (("cat", 0), ("dog", 128)):
        (folder / name).mkdir()
        for i in range(20):
            levels = noise.integers(low, low + 127, (8, 8), np.uint8)
            Image.fromarray(levels).save(folder / name / f"{i}.png")
    spec = TINY.model_copy(update={"data": f"folder:{folder}", "condition": "labels", "protocol": "8bit"})
    return vl.train(spec, folder.parent / "out", "run", compile="never", callback=vl.SILENT), folder


def test_classes_are_known_by_name_though_another_folder_numbers_them_differently(conditional, tmp_path, capsys):
    run, folder = conditional
    shutil.copytree(folder / "dog", tmp_path / "new" / "dog")
    assert main(["encode", str(run.path), str(tmp_path / "new"), "--out", str(tmp_path / "z.csv")]) == 0
    found = rows(tmp_path / "z.csv")
    assert {row["label"] for row in found} == {"dog"}
    expected = run.encode(folder / "dog" / "0.png", labels="dog").mean[0]
    mean = next(row for row in found if row["name"] == "dog/0.png")
    np.testing.assert_allclose([float(mean["mean_1"]), float(mean["mean_2"])], expected, rtol=1e-4)
    shutil.copytree(folder / "dog", tmp_path / "new" / "horse")
    assert "unknown label 'horse'" in told(capsys, "encode", run.path, tmp_path / "new", "--out", tmp_path / "y.csv")
    assert main(["sample", str(run.path), "--labels", "dog", "--count", "2", "--out", str(tmp_path / "s")]) == 0
    assert [row["label"] for row in rows(tmp_path / "s" / "images.csv")] == ["dog", "dog"]


def test_a_path_that_is_not_labelled_is_told(conditional, tmp_path, capsys):
    run, folder = conditional
    line = told(capsys, "encode", run.path, folder / "cat", "--out", tmp_path / "z.csv")
    assert "without labels; expected a label for each image" in line
