"""--condition labels, from the data to the report."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.built import build_model, build_objective, completed, load_splits
from tests.traps.small import noise
from vaelab.cli.main import main
from vaelab.data import Dataset, Splits
from vaelab.evaluation.likelihood.likelihood import estimate_bounds
from vaelab.figures import FIGURES
from vaelab.models import Conditional
from vaelab.runs.directory import Run
from vaelab.runs.evaluate import evaluate
from vaelab.runs.spec import Spec
from vaelab.runs.train import train
from vaelab.system.errors import SpecError
from vaelab.training.callback import SILENT
from vaelab.training.loader import Streamed
from vaelab.training.loop import fit
from vaelab.training.setup import TrainingSetup

TINY = Spec(data="digits", latent=2, network="mlp:hidden=30", epochs=3, condition="labels", nll_samples=5, batch=20)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return train(TINY, tmp_path_factory.mktemp("runs"), "told", compile="never")


def test_it_learns_what_the_labels_tell(run):
    """The images' own labels beat wrong ones, image by image."""
    test = run.data().test
    model = run.model()
    told = estimate_bounds(model, test, 20, seed=0)
    wrong = Dataset(test.name, "test", test.images, (test.labels + 1) % 10, test.protocol)
    others = estimate_bounds(model, wrong, 20, seed=0)
    loss = others.nll - told.nll
    assert loss.mean() > 5 * loss.std() / np.sqrt(len(test))


def test_what_is_kept_is_the_model(run):
    model, test = run.model(), run.data().test
    assert model.labels.classes.tolist() == list(range(10))
    counts = np.bincount(run.data().train.labels)
    torch.testing.assert_close(model.labels.shares, torch.from_numpy(counts / counts.sum()).float())
    nll = run.metric("nll")
    again = estimate_bounds(model, test, nll.samples, seed=0).nll
    torch.testing.assert_close(again[torch.from_numpy(test.by_content)].sort().values, run.per_image(nll).sort().values)


def test_every_number_says_that_it_is_given_the_labels(run):
    names = ("ais:temperatures=5:chains=2:images=4:simulated=4:samples=5", "representation", "fidelity:features=pixels")
    metrics = [*run.metrics, *evaluate(run, names)]
    for metric in metrics:
        own = metric.name == "probe_accuracy_pixels" or "[pixels]" in metric.name
        assert ("given the labels" in metric.note) != own, metric
    assert any("labels as frequent as in training" in metric.note for metric in metrics)
    told = run.result["provenance"]
    assert (told["bound"], told["is_bound"], told["given"], told["note"]) == ("ELBO", True, "labels", "")


def test_every_picture_is_drawn(run, capsys):
    assert main(["figure", str(run.path)]) == 0
    drawn = {path.stem for path in (run.path / "figures").iterdir()}
    assert drawn == {"curves", "interpolation", "latents", "manifold", "reconstructions", "samples", "traversal"}
    assert main(["evaluate", str(run.path)]) == 0
    assert "which is the ELBO, given the labels" in " ".join(capsys.readouterr().out.split())


def test_samples_have_a_label_for_each_row_and_a_z_for_each_column(monkeypatch):
    images = made(np.repeat([4, 9, 77], 3))
    model, passes = build_model(TINY, images.shape, images.labels).eval(), []
    plain = Conditional.forward

    def forward(conditional, context):
        passes.append((context, conditional.condition))
        return plain(conditional, context)

    monkeypatch.setattr(Conditional, "forward", forward)
    figure = FIGURES["samples"](model, images)
    ((z, condition),) = passes
    assert condition.long().argmax(1).tolist() == [row for row in range(3) for _ in range(8)]
    columns = z.unflatten(0, (3, 8))
    assert torch.equal(columns, columns[:1].expand_as(columns))
    assert len(columns[0].unique(dim=0)) == 8
    for ax in figure.axes:
        assert [tick.get_text() for tick in ax.get_yticklabels()] == ["4", "9", "77"]


def made(labels: np.ndarray, protocol: str = "binary-threshold", split: str = "train") -> Dataset:
    return Dataset("made", split, noise(len(labels), (1, 4, 4)), labels.astype(np.int64), protocol)


def of(spec: Spec, images: Dataset) -> TrainingSetup:
    return TrainingSetup.of(
        build_model(spec, images.shape, images.labels), build_objective(spec, len(images)), images, spec
    )


@pytest.mark.parametrize("streamed", [False, True])
def test_images_meet_their_own_labels(streamed):
    labels = np.random.default_rng(0).choice([3, 40, 200], 50)
    images = Dataset("made", "train", np.repeat(labels, 4).reshape(50, 1, 2, 2).astype(np.uint8), labels, "grey")
    setup = of(completed(Spec(condition="labels", latent=2, batch=8, network="mlp:hidden=4", protocol="grey")), images)
    if streamed:
        setup = replace(setup, loader=Streamed(images.images, setup.sampler, setup.device))
    for t in (0, 3, 6, 7, 20, 1):
        condition = setup.condition(t)
        assert setup.model.labels.classes[condition.long().argmax(1)].tolist() == setup.batch(t)[:, 0, 0, 0].tolist()


def three_inputs(images, learning_rate, number):
    """The step of a model that is not told labels."""


def test_labels_do_nothing_to_a_model_that_is_not_told_them(tmp_path):
    spec, logs = completed(TINY.model_copy(update={"condition": "none"})), []
    data = load_splits(spec)
    bare = Splits(
        *(Dataset("digits", d.split, d.images, None, d.protocol) for d in (data.train, data.validation, data.test))
    )
    for name, images in (("labelled", data), ("bare", bare)):
        (tmp_path / name).mkdir()
        model = build_model(spec, images.train.shape, images.train.labels)
        of(spec, images.train).take(three_inputs, 0)
        fit(model, build_objective(spec), images, spec, tmp_path / name, SILENT, "never")
        rows = [json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        logs.append([(row["train"], row["validation"]) for row in rows])
    assert logs[0] == logs[1]


@pytest.mark.parametrize(
    ("update", "arrays", "says"),
    [
        ({}, {}, "training images that have none"),
        ({}, {"train_labels": [0, 1] * 10, "test_labels": [0, 2] * 3}, "test images of label 2"),
        ({"validation": 1}, {"train_labels": [7] + [0] * 19, "test_labels": [0] * 6, "split_seed": 0}, "of label 7"),
        (
            {"prior": "vamp"},
            {"train_labels": [0, 1] * 10, "test_labels": [0] * 6},
            "prior vamp with --condition labels",
        ),
        ({"model": "tests.runs.test_condition:deaf"}, {}, "deaf with --condition labels"),
    ],
)
def test_what_cannot_be_told_labels_is_refused_in_a_line(update, arrays, says, tmp_path, capsys):
    arrays = dict(arrays)
    seed = arrays.pop("split_seed", None)
    np.savez(tmp_path / "a.npz", train_images=noise(20), test_images=noise(6, seed=1), **arrays)
    fields = {
        "data": f"npz:{tmp_path / 'a.npz'}",
        "condition": "labels",
        "batch": 5,
        "network": "mlp:hidden=4",
        **update,
    }
    if seed is not None:  # of which the first image is held out
        fields["split_seed"] = next(s for s in range(99) if np.random.default_rng(s).permutation(20)[0] == 0)
    flags = [word for name, value in fields.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    assert main(["train", *flags, "--protocol", "grey", "--out", str(tmp_path / "runs")]) == 2
    error = capsys.readouterr().err.strip()
    assert says in " ".join(error.split())
    assert not (tmp_path / "runs").exists()


def deaf(latent, image_shape, network, posterior, likelihood, prior):
    """A model that is not told labels."""
    raise AssertionError


def test_a_model_without_its_labels_is_refused():
    with pytest.raises(SpecError, match="training images that have none"):
        build_model(TINY, (1, 8, 8))
    with pytest.raises(SpecError, match="condition = 'label'; expected 'none' or 'labels'"):
        Spec.model_validate({"condition": "label"})


def test_together_and_a_study_take_it(tmp_path, capsys):
    (tmp_path / "study.toml").write_text(
        'title = "told"\nabout = "labels"\n[base]\ndata = "digits"\nlatent = 2\nnetwork = "mlp:hidden=8"\nepochs = 1\n'
        "nll_samples = 3\n"
        '[[group]]\nname = "vae"\ntitle = "VAE"\ngrid = { latent = [2], seed = [0] }\n'
        '[[group]]\nname = "cvae"\ntitle = "Conditional"\npreset = "cvae"\ngrid = { latent = [2], seed = [0, 1] }\n'
    )
    words = ["study", str(tmp_path / "study.toml"), "--out", str(tmp_path), "--vmapped", "2"]
    assert main([*words, "--compile", "never"]) == 0
    said = capsys.readouterr()
    report = next(tmp_path.rglob("report.md")).read_text()
    assert "given the labels" in report
    assert r"log p(x\|y)" in report, said
