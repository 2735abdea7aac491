"""A folder of colour images with splits and classes, from the command to the pictures, as its owner meets it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from tests.built import build_model
from vaelab.cli.main import main
from vaelab.data import Dataset, load_data
from vaelab.evaluation.measure import EvaluationContext
from vaelab.evaluation.measures import METRICS
from vaelab.figures import FIGURES
from vaelab.runs.directory import Run
from vaelab.runs.spec import Spec
from vaelab.runs.train import train
from vaelab.system.errors import DataError, SpecError
from vaelab.training.callback import Callback

CLASSES = ("ape", "bee", "cow")
COUNTS = {"train": 24, "val": 6, "test": 12}
SMALL = {"latent": 2, "network": "mlp:hidden=8", "epochs": 1, "nll_samples": 3, "batch": 8}


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """Colour images, brighter by class; one of the test split stands in training too, and a text is beside them."""
    root, random = tmp_path_factory.mktemp("data") / "zoo", np.random.default_rng(0)
    for split, count in COUNTS.items():
        for number in range(count):
            at = root / split / CLASSES[number % 3] / f"{number:02}.png"
            at.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 80 * (1 + number % 3), (8, 8, 3), np.uint8)).save(at)
    shutil.copy(root / "train" / "ape" / "00.png", root / "test" / "ape" / "00.png")
    (root / "test" / "ape" / "about.txt").write_text("an ape")
    return root


@pytest.fixture(scope="module")
def run(images, tmp_path_factory) -> Run:
    return train(Spec(data=f"folder:{images}", condition="labels", **SMALL), tmp_path_factory.mktemp("runs"))


def test_it_is_checked_as_it_is_meant(images, capsys):
    assert main(["data", "check", f"folder:{images}"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"folder:{images} is read from {images}" in said
    assert f"left out of folder:{images}: 1 .txt" in said
    for split, count in (("train", "8"), ("validation", "2"), ("test", "4")):
        _, _, after = said.partition(f"{split} images")
        assert f"labels {'  '.join(f'{name}: {count}' for name in CLASSES)}".replace("  ", " ") in after
    assert "also in training 0 of 6, by equal pixels" in said
    assert "also in training 1 of 12, by equal pixels" in said


def test_it_is_trained_on_with_no_more_than_its_name_and_all_is_said(images, tmp_path, capsys):
    flags = ["--network", "mlp:hidden=8", "--latent", "2", "--batch", "8", "--epochs", "1", "--out", str(tmp_path)]
    assert main(["train", "--data", f"folder:{images}", *flags, "--compile", "never"]) == 0
    said = capsys.readouterr().out.splitlines()
    lines = (
        f"folder:{images} is read from {images}",
        f"left out of folder:{images}: 1 .txt",
        f"validation: the 6 validation images of folder:{images}; no training images are held out",
        "1 of 12 test images are training images too: their pixels are equal",
        "no likelihood was named: gaussian:sigma=shared:mean=sigmoid is used, for pixels read as 8bit",
    )
    assert [said.index(line) for line in lines] == sorted(said.index(line) for line in lines)
    (path,) = tmp_path.iterdir()
    result = json.loads((path / "result.json").read_text())
    assert result["read"] == {"from": str(images), "said": list(lines[:3])}
    assert result["test_images_trained_on"] == 1
    assert {split: row["images"] for split, row in result["data"].items()} == {"train": 24, "validation": 6, "test": 12}
    assert result["spec"]["likelihood"] == "gaussian:sigma=shared:mean=sigmoid"


def test_an_explicit_likelihood_is_never_changed(images, tmp_path):
    said = []
    callback = Callback(say=said.append, show=lambda status: None)
    spec = Spec(data=f"folder:{images}", likelihood="laplace", **SMALL)
    assert train(spec, tmp_path, callback=callback).spec.likelihood.startswith("laplace:")
    assert not any("no likelihood" in line for line in said)
    with pytest.raises(SpecError, match="gaussian:sigma=shared"):
        train(spec.model_copy(update={"likelihood": "bernoulli"}), tmp_path)


def test_a_model_is_told_classes_by_name(run):
    model = run.model()
    x = torch.rand(4, 3, 8, 8)
    for names, numbers in (("bee", 1), (["ape", "cow", "ape", "bee"], [0, 2, 0, 1]), (np.array(["cow"] * 4), [2] * 4)):
        torch.testing.assert_close(model.condition(names), model.condition(numbers))
        torch.testing.assert_close(model.given(names).posterior(x).mean, model.given(numbers).posterior(x).mean)
    with pytest.raises(SpecError, match=r"unknown label 'bea'; expected one of ape, bee, cow; did you mean 'bee'"):
        model.given("bea")
    with pytest.raises(SpecError, match=r"label 3; expected a label of the training images: ape, bee, cow"):
        model.given(3)


def test_a_run_from_before_names_were_kept_is_read(run, tmp_path):
    old = Path(shutil.copytree(run.path, tmp_path / "old"))
    save_file(load_file(old / "model.safetensors"), old / "model.safetensors", {"image_shape": "[3, 8, 8]"})
    result = json.loads((old / "result.json").read_text())
    del result["read"]
    (old / "result.json").write_text(json.dumps(result))
    assert Run(old).model().given(1)
    assert main(["evaluate", str(old), "--metrics", "reconstruction:samples=2"]) == 0


def texts(name: str, run: Run) -> str:
    figure = FIGURES[name](run.model(), run.data().test)
    figure.draw_without_rendering()
    shown = [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]
    return " | ".join(" ".join(text.split()) for text in shown)


def test_every_picture_calls_classes_by_name(run):
    for name in ("samples", "latents"):
        assert all(kind in texts(name, run) for kind in CLASSES), name
    assert any(f"given its label, {kind}." in texts("traversal", run) for kind in CLASSES)
    assert "Given the most frequent label, ape." in texts("manifold", run)


def test_one_latent_dimension_names_the_lines_of_its_points(images):
    test = load_data(f"folder:{images}").test
    figure = FIGURES["latents"](build_model(Spec(data="folder:a", **{**SMALL, "latent": 1}), (3, 8, 8)).eval(), test)
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == list(CLASSES)


def test_a_class_that_is_not_trained_on_is_called_by_name(images, tmp_path):
    root = Path(shutil.copytree(images, tmp_path / "zoo"))
    shutil.rmtree(root / "train" / "bee")
    spec = Spec(data=f"folder:{root}", **SMALL)
    with pytest.raises(SpecError, match="images of label bee, which no training image has"):
        train(spec.model_copy(update={"condition": "labels"}), tmp_path / "runs")
    data = load_data(spec.data)
    model = build_model(spec, data.train.shape).eval()
    measure = METRICS["representation"](neighbours=1)
    rows = measure(EvaluationContext(model, data.train, data.test, 0, "", tmp_path), lambda share: None)
    assert any("none with label bee" in row.note for row in rows)


@pytest.mark.parametrize("protocol", ["8bit", "binary-static", "binary-dynamic", "binary-threshold"])
def test_test_images_that_are_trained_on_are_counted_before_any_noise(tmp_path, protocol):
    """A draw of each split's own hides them, and a threshold makes of many images one."""
    random = np.random.default_rng(0)
    training, test = random.integers(0, 129, (60, 2, 2), np.uint8), random.integers(0, 129, (30, 2, 2), np.uint8)
    test[:2] = training[7]
    np.savez(tmp_path / "a.npz", train_images=training, test_images=test)
    spec, said = Spec(data=f"npz:{tmp_path / 'a.npz'}", protocol=protocol, validation=0, **SMALL), []
    run = train(spec, tmp_path, callback=Callback(say=said.append, show=lambda status: None))
    assert "2 of 30 test images are training images too: their pixels are equal" in said
    assert run.result["test_images_trained_on"] == 2
    test[:4] = training[7]
    np.savez(tmp_path / "a.npz", train_images=training, test_images=test)
    with pytest.raises(DataError, match="4 of 30 test images"):
        train(spec.model_copy(update={"seed": 1}), tmp_path)


def test_where_the_data_lie_changes_no_number_and_is_recorded(tmp_path, monkeypatch):
    frames = np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8)
    runs = []
    for place in ("one", "two"):
        (tmp_path / place / "frey").mkdir(parents=True)
        np.savez(tmp_path / place / "frey" / "freyfaces.npz", images=frames)
        runs.append(train(Spec(data="frey", **SMALL), tmp_path / f"runs-{place}", root=str(tmp_path / place)))
    one, two = runs
    assert one.path.name == two.path.name
    assert one.metrics == two.metrics
    assert [run.result["read"]["from"] for run in runs] == [str(tmp_path / at / "frey") for at in ("one", "two")]
    monkeypatch.setenv("VAELAB_DATA", str(tmp_path / "one"))
    with pytest.raises(DataError, match="nowhere"):
        train(Spec(data="frey", **SMALL), tmp_path / "runs", root=str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="nowhere"):
        one.data(str(tmp_path / "nowhere"))


def test_names_of_classes_are_kept_by_what_is_taken(images):
    test = load_data(f"folder:{images}", protocol="binary-static").test
    some = test.some(4)
    assert [some.class_name(label) for label in some.labels] == [CLASSES[label] for label in some.labels]
    unnamed: Dataset = replace(test, class_names={})
    assert unnamed.class_name(2) == "2"
