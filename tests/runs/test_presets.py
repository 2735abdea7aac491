import re
from pathlib import Path

import pytest

from tests.built import build_model, build_objective, completed
from tests.traps.small import dataset, noise
from vaelab.cli.main import main
from vaelab.data import Splits
from vaelab.runs.presets import PRESETS
from vaelab.runs.spec import Spec
from vaelab.training.callback import SILENT
from vaelab.training.loop import fit

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
SMALLER = {"vamp": "vamp:components=5", "factor": "factor:hidden=9"}


@pytest.mark.parametrize("name", PRESETS)
def test_each_trains(name, tmp_path):
    spec = PRESETS[name].spec
    objective = SMALLER.get(spec.objective.split(":")[0], spec.objective)
    small = {"prior": SMALLER.get(spec.prior, spec.prior), "objective": objective, "network": "mlp:hidden=9"}
    small |= {"protocol": spec.protocol or "binary-threshold", "model": spec.model.split(":")[0]}
    spec = completed(spec.model_copy(update={"data": "npz:x.npz", "latent": 3, "batch": 10, "epochs": 1, **small}))
    images = dataset(noise(30, (1, 8, 8)), spec.protocol)
    model = build_model(spec, images.shape, images.labels)
    progress = fit(model, build_objective(spec, 30), Splits(images, None, images), spec, tmp_path, SILENT, "never")
    assert progress.step == 3


def test_the_page_has_a_row_for_each():
    rows = dict(re.findall(r"^\| `([a-z0-9-]+)` \|.*?\| `(vaelab train .*?)` \|$", PAGE, re.MULTILINE))
    assert rows.keys() == PRESETS.keys()
    assert all(command == f"vaelab train --preset {name} --data mnist" for name, command in rows.items())
    for name, preset in PRESETS.items():
        (line,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |")]
        assert preset.title in line
        assert preset.source in line
        assert all(value in line for field, value in preset.fields.items() if field != "protocol")


def test_other_flags_change_what_a_preset_says(capsys, tmp_path):
    words = "train --preset iwae --objective iwae:samples=2 --epochs 0.02 --latent 2 --network mlp:hidden=5"
    assert main([*words.split(), "--out", str(tmp_path)]) == 0
    (path,) = tmp_path.glob("*/spec.json")
    spec = Spec.read(path)
    assert (spec.objective, spec.latent) == ("iwae:samples=2:gradient=plain", 2)


@pytest.mark.parametrize("words", ["--preset iwae --latent 3", "--latent 3 --preset iwae", "--latent 3 --preset=iwae"])
def test_it_may_stand_anywhere(words, tmp_path):
    beside = f"--data digits --epochs 0.1 --nll-samples 2 --out {tmp_path}"
    assert main(f"train {words} {beside}".split()) == 0
    (path,) = tmp_path.glob("*/spec.json")
    assert (Spec.read(path).objective, Spec.read(path).latent) == ("iwae:samples=5:gradient=plain", 3)


@pytest.mark.parametrize("words", ["--latent 3 --preset", "--preset vae --preset iwae", "--preset vae --spec a.json"])
def test_one_of_them_and_no_more(words, capsys):
    assert main(["train", *words.split()]) == 2
    error = capsys.readouterr().err
    assert "expected one --preset NAME, or one --spec FILE.json" in error
    assert error.count("\n") == 1


def test_they_are_listed_and_a_wrong_name_is_told(capsys):
    assert main(["presets"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in PRESETS)
    assert all(len(line) <= 100 for line in listed.splitlines())
    assert main(["train", "--preset", "iwea"]) == 2
    assert "did you mean 'iwae'?" in capsys.readouterr().err
