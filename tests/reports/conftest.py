"""A small study on digits, trained once: two latents, both networks, both likelihoods, one epoch each."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from vaelab.reports import explorers, write_report
from vaelab.runs.directory import Run
from vaelab.runs.train import train
from vaelab.studies.study import Study, open_study

STUDY = """
title = "Three models of digits"
about = "A study for the tests."
claims = [
    "digits", "dimensions", "complexity", "eights", "colours", "convolution", "gaussian-quality", "negative-means",
    "manifold-separation", "gaussian-speed",
]

[base]
data = "digits"
epochs = 2
nll_samples = 2

[[group]]
name = "mlp"
title = "Fully connected, Bernoulli"
spec = { protocol = "grey", network = "mlp:hidden=16", likelihood = "bernoulli" }
grid = { latent = [2, 5] }

[[group]]
name = "conv"
title = "Convolutional, Bernoulli"
spec = { protocol = "grey", network = "article-conv:maps=2:hidden=16", likelihood = "bernoulli" }
grid = { latent = [2, 5] }

[[group]]
name = "gaussian"
title = "Convolutional, Gaussian"
spec = { protocol = "8bit", network = "article-conv:maps=2:hidden=16", likelihood = "gaussian" }
grid = { latent = [2, 5] }

[[figure]]
number = "1"
title = "Reconstructions"
panels = [
    { letter = "a", show = "data", group = "mlp", latent = 2 },
    { letter = "b", show = "reconstructions", group = "mlp", latent = 5 },
    { letter = "c", show = "manifold", group = "gaussian", latent = 2, ours = true },
]
"""


@dataclass(frozen=True)
class Written:
    study: Study
    html: Path
    markdown: Path


@pytest.fixture(scope="session", autouse=True)
def quick_explorers() -> Iterator[None]:
    """A page that runs no model in the place of every explorer: a real one takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(explorers, "page", lambda runs: f"<!doctype html><p>A page of {len(runs)} run</p>")
        yield


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Study:
    """The study, every run done."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "small.toml").write_text(STUDY)
    study = open_study(str(folder / "small.toml"), folder)
    for member in study.members:
        train(member.spec, member.run.path.parent, member.run.path.name, compile="never")
    return replace(study, command="vaelab study small")


@pytest.fixture(scope="session")
def written(trained, tmp_path_factory) -> Written:
    """Its report."""
    done = write_report(trained, trained.folder)
    return Written(trained, done.page, done.text)


@pytest.fixture
def partial(trained, tmp_path) -> Study:
    """The same study in a folder of its own, with the runs of z = 5 not done."""
    shutil.copytree(trained.folder, tmp_path / "runs")
    members = [replace(m, run=Run.planned(tmp_path / "runs" / m.run.path.name, m.blueprint)) for m in trained.members]
    for member in members:
        if member.latent == 5:
            (member.run.path / "result.json").unlink()
    return replace(trained, members=members, folder=tmp_path / "runs")
