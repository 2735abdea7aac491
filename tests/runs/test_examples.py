"""The images that a run keeps: which they are, that a foreign file is not trusted, and figures drawn from them."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import vaelab as vl
from tests.told import told
from vaelab.cli.main import main
from vaelab.data.dataset import Splits
from vaelab.runs import examples
from vaelab.runs.examples import EXAMPLES_BYTES, example_counts
from vaelab.system.errors import RunError, SpecError
from vaelab.system.tensor_file import read_tensors, write_tensors
from vaelab.training.callback import SILENT

TINY = vl.Spec(latent=2, network="mlp:hidden=4", epochs=0.2, nll_samples=2, protocol="binary-static")


def images(count: int = 60, seed: int = 0, shape: tuple[int, ...] = (1, 8, 8)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


@pytest.fixture
def own(tmp_path) -> vl.Run:
    """A run of images in a file."""
    np.savez(tmp_path / "a.npz", images=images(), labels=np.arange(60) % 3)
    spec = TINY.model_copy(update={"data": f"npz:{tmp_path / 'a.npz'}"})
    return vl.train(spec, tmp_path / "runs", "run", compile="never", callback=SILENT)


def test_they_are_the_prepared_images_of_their_split_with_their_labels(own):
    data = own.data()
    for split, whole in (("validation", data.validation), ("test", data.test)):
        kept, expected = own.examples(split), whole.some(0)
        assert (kept.images == expected.images).all()
        assert (kept.labels == expected.labels).all()
        assert (kept.split, kept.protocol, kept.name) == (split, "binary-static", own.spec.data)
        assert set(np.unique(kept.images)) <= {0, 255}  # drawn by the protocol


def test_the_names_of_classes_are_kept(tmp_path):
    data = vl.Dataset("mine", "train", images(), np.arange(60) % 2, "8bit", class_names={0: "cat", 1: "\u00fcber"})
    run = vl.train(TINY.model_copy(update={"protocol": None}), tmp_path, data=data, compile="never", callback=SILENT)
    assert run.examples("test").class_names == {0: "cat", 1: "\u00fcber"}


def test_they_do_not_depend_on_the_order_of_the_files(monkeypatch):
    data = vl.Dataset("mine", "test", images(200), None, "8bit")
    turned = data.take(np.arange(200)[::-1])
    assert (data.some(100).images == turned.some(100).images).all()
    assert not (data.some(100).images == data.images[:100]).all()


@pytest.mark.parametrize(
    ("shape", "counts"),
    [
        ((1, 28, 28), {"validation": 1000, "test": 100}),
        ((3, 64, 64), {"validation": 1000, "test": 100}),
        ((3, 128, 128), {"validation": 296, "test": 29}),
        ((3, 1024, 1024), {"validation": 4, "test": 1}),
        ((3, 2300, 2300), {"test": 1}),
        ((3, 4000, 4000), {}),
    ],
)
def test_there_are_fewer_if_they_are_large(shape, counts):
    def many(split: str, count: int) -> vl.Dataset:
        data = vl.Dataset("mine", split, np.zeros((1, *shape), np.uint8), None, "8bit")
        object.__setattr__(data, "images", np.broadcast_to(data.images, (count, *shape)))
        return data

    found = example_counts(Splits(many("train", 5), many("validation", 5000), many("test", 5000)))
    assert found == counts
    assert sum(found.values()) * np.prod(shape) <= EXAMPLES_BYTES


def test_of_few_images_all_are_kept_and_none_of_a_split_that_is_not_there(tmp_path):
    spec = TINY.model_copy(update={"validation": 0.0, "protocol": None})
    run = vl.train(spec, tmp_path, data=images(20), compile="never", callback=SILENT)
    assert len(run.examples("test")) == 2
    assert run.examples("test").note.endswith("2 of 20 images held out")
    with pytest.raises(RunError, match="was trained without validation images"):
        run.examples("validation")
    with pytest.raises(SpecError, match="split 'train'; expected validation or test"):
        run.examples("train")


def test_they_can_be_turned_off(tmp_path, capsys):
    words = ["--data", "digits", "--epochs", "0.2", "--network", "mlp:hidden=4", "--nll-samples", "2"]
    words += ["--compile", "never", "--threads", "1", "--out", str(tmp_path), "--name", "run"]
    assert main(["train", *words, "--keep-examples", "no"]) == 0
    run = vl.Run(tmp_path / "run")
    assert not (run.path / "examples.safetensors").exists()
    with pytest.raises(RunError, match="the run keeps no images"):
        run.examples("test")
    (run.path / "examples.safetensors").write_bytes(b"left by an attempt that kept them")
    (run.path / "result.json").unlink()
    assert main(["train", *words, "--keep-examples", "no"]) == 0
    assert not (run.path / "examples.safetensors").exists()


def spoilt(path: Path, how: str) -> None:
    tensors, header = read_tensors(path)
    pixels, labels = tensors["test/images"], tensors["test/labels"]
    changed = {
        "shape": {"test/images": pixels[..., :4].clone()},
        "axes": {"test/images": pixels[0].clone()},
        "type": {"test/images": pixels.float()},
        "more images than there are": {"test/images": pixels.repeat(3, 1, 1, 1), "test/labels": labels.repeat(3)},
        "no image": {"test/images": pixels[:0].clone(), "test/labels": labels[:0].clone()},
        "labels": {"test/labels": labels[:-1].clone()},
        "labels of another type": {"test/labels": labels.double()},
        "class names": {},
        "no owner": {},
    }[how]
    header |= {"class_names": "[1]"} if how == "class names" else {}
    header.pop("spec") if how == "no owner" else None
    write_tensors(path, {**tensors, **changed}, header)


@pytest.mark.parametrize(
    "how",
    ["shape", "axes", "type", "more images than there are", "no image", "labels", "labels of another type",
     "class names", "no owner"],
)  # fmt: skip
def test_a_foreign_file_that_does_not_fit_is_told(how, own):
    spoilt(own.path / "examples.safetensors", how)
    with pytest.raises(RunError, match="written by a run of another Spec" if how == "no owner" else "does not fit"):
        own.examples("test")


def test_a_file_that_is_damaged_or_another_runs_or_too_large_is_told(own, done, tmp_path):
    path = own.path / "examples.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-3] + b"abc")
    with pytest.raises(RunError, match="is damaged"):
        own.examples("test")
    shutil.copy(done.path / "examples.safetensors", path)
    with pytest.raises(RunError, match="written by a run of another Spec"):
        own.examples("test")
    with path.open("ab") as file:
        file.truncate(2 * EXAMPLES_BYTES + 1)
    with pytest.raises(RunError, match="at most 16 MB of images"):
        own.examples("test")
    path.unlink()
    path.mkdir()
    with pytest.raises(RunError):
        own.examples("test")


def drawn(run: vl.Run, kinds: list[str], **more) -> tuple[dict[str, bytes], list[str]]:
    said = list[str]()
    paths = vl.figure(run, kinds, callback=replace(SILENT, say=said.append), **more)
    return {path.stem: path.read_bytes() for path in paths}, said


KINDS = ["reconstructions", "latents", "traversal", "interpolation"]


def test_figures_without_the_data_show_what_the_run_keeps_and_say_so(own, tmp_path):
    there, said = drawn(own, KINDS)
    assert said == []
    (tmp_path / "a.npz").rename(tmp_path / "b.npz")
    kept, said = drawn(own, KINDS)
    (line,) = said
    assert line.startswith("the pictures show the 6 test images that the run keeps, because ")
    assert kept.keys() == there.keys()
    assert all(kept[kind] != there[kind] for kind in KINDS)  # their titles say it too
    again, said = drawn(own, KINDS, source=f"npz:{tmp_path / 'b.npz'}")
    assert said == []
    assert again == there


def test_figures_of_changed_data_do_not_mix_them(own, tmp_path):
    np.savez(tmp_path / "a.npz", images=images(seed=1), labels=np.arange(60) % 3)
    _, said = drawn(own, ["latents"])
    assert "made with other images" in said[0]


def test_a_place_that_was_named_is_not_replaced(own, capsys):
    said = told(capsys, "figure", own.path, "latents", "--data", "npz:nowhere.npz")
    assert "nowhere.npz" in said
    (own.path / "examples.safetensors").unlink()
    Path(own.spec.data.removeprefix("npz:")).unlink()
    assert "its images were not found" in told(capsys, "figure", own.path, "latents")  # the error of the data


def test_a_run_in_another_place_has_its_figures(own, tmp_path, monkeypatch):
    shutil.move(own.path, tmp_path / "elsewhere")
    (tmp_path / "a.npz").unlink()
    monkeypatch.chdir(tmp_path)
    assert main(["figure", "elsewhere"]) == 0
    assert {path.stem for path in Path("elsewhere/figures").iterdir()} >= {"latents", "reconstructions", "manifold"}


def test_a_run_of_an_earlier_version_has_none(own):
    (own.path / "examples.safetensors").unlink()
    with pytest.raises(RunError, match=r"the run keeps no images \(no .*\); expected images in the run; use the data"):
        own.examples("validation")


def test_the_largest_file_is_read(monkeypatch, own):
    """The bound on the file leaves room for labels and names."""
    size = (own.path / "examples.safetensors").stat().st_size
    monkeypatch.setattr(examples, "EXAMPLES_BYTES", size)
    assert len(own.examples("test")) == 6


def test_no_image_is_kept_that_is_not_in_the_split(own):
    data, tensors = own.data(), read_tensors(own.path / "examples.safetensors")[0]
    for split in ("validation", "test"):
        whole = {image.tobytes() for image in getattr(data, split).images}
        assert {image.numpy().tobytes() for image in tensors[f"{split}/images"]} <= whole
        assert tensors[f"{split}/images"].dtype == torch.uint8
    assert json.loads(read_tensors(own.path / "examples.safetensors")[1]["class_names"]) == {}
