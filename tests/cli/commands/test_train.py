"""Where the Spec of `vaelab train` starts."""

import pytest

from vaelab.cli.commands.train import PLAIN, starting_spec
from vaelab.runs.presets import preset
from vaelab.runs.spec import Spec
from vaelab.system.errors import RunError, SpecError


def test_without_a_start_it_is_the_plain_one():
    assert starting_spec(["--latent", "5"]) == PLAIN == Spec()


@pytest.mark.parametrize("words", ["--preset vamp-vae", "--latent 3 --preset=vamp-vae --seed 1"])
def test_a_preset_is_found_wherever_it_is(words):
    assert starting_spec(words.split()) == preset("vamp-vae").spec


@pytest.mark.parametrize("words", ["--spec {}", "--spec={} --latent 3", "--trust a b --spec {} --seed 1"])
def test_a_file_is_found_wherever_it_is(words, tmp_path):
    path = tmp_path / "spec.json"
    path.write_text(Spec(latent=7).canonical_json())
    assert starting_spec(words.format(path).split()) == Spec(latent=7)


@pytest.mark.parametrize("words", ["--trust mine other --spec {}", "--spec {} --trust=mine", "--spec {}"])
def test_a_file_names_only_modules_that_are_trusted(words, tmp_path):
    path = tmp_path / "spec.json"
    path.write_text(Spec(prior="mine:Prior").canonical_json())
    if "--trust" in words:
        assert starting_spec(words.format(path).split()).prior == "mine:Prior"
    else:
        with pytest.raises(SpecError, match="--trust mine"):
            starting_spec(words.format(path).split())


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("--preset", "--preset without a value"),
        ("--spec --latent 5", "--spec without a value"),
        ("--preset vae --preset iwae", "--preset and --preset"),
        ("--preset vae --spec a.json", "--preset and --spec"),
    ],
)
def test_one_start_is_asked_for(words, found):
    with pytest.raises(SpecError, match=rf"^{found}; expected one --preset NAME, or one --spec FILE\.json; see "):
        starting_spec(words.split())


def test_a_start_that_is_not_there():
    with pytest.raises(SpecError, match="did you mean 'iwae'"):
        starting_spec(["--preset", "iwea"])
    with pytest.raises(RunError, match=r"no nowhere\.json"):
        starting_spec(["--spec", "nowhere.json"])
