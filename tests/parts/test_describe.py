"""What `vaelab parts` says of parts, from their constructors."""

from typing import Literal

import pytest

from vaelab.cli.commands.parts import lines
from vaelab.cli.main import main
from vaelab.evaluation.measures import METRICS
from vaelab.parts.describe import Option, description
from vaelab.parts.names import resolve
from vaelab.runs.blueprint import TABLES

ALL = {**TABLES, "metric": METRICS}
EVERY = [(kind, name) for kind, table in ALL.items() for name in table]


class Toy:
    """A part for a test (Somebody 1999).

    Arguments:
        latent: not an option.
        size, sizes: one number
            or several.
        draw: `mean` or `sample`.
        way: where it goes.

    Raises:
        SpecError: never: of any kind.
    """

    def __init__(
        self,
        latent: int,
        *,
        size: int = 3,
        sizes: tuple[int, ...] = (4, 5),
        draw: Literal["mean", "sample"] = "mean",
        way: float | Literal["up", "down"] = 1.0,
        bare: float = 0.5,
    ) -> None: ...


def test_options_are_those_of_the_constructor_with_the_sentences_of_its_docstring():
    found = description("toy", Toy)
    assert (found.name, found.says) == ("toy", "A part for a test (Somebody 1999).")
    assert found.options == (
        Option("size=3", "one number or several."),
        Option("sizes=4,5", "one number or several."),
        Option("draw=mean", "`mean` or `sample`."),
        Option("way=1.0", "where it goes. (a number, or up or down)"),
        Option("bare=0.5", "a number"),
    )


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_every_option_of_every_part_has_a_sentence(kind, name):
    found = description(name, ALL[kind][name])
    assert found.says.endswith((".", "?"))
    for option in found.options:
        assert len(option.says) > len("a whole number"), option
        resolve(kind, ALL[kind], f"{name}:{option.text}")  # it can be written like this


@pytest.mark.parametrize("width", [50, 80])
def test_the_lines_hold_and_break_no_word(width):
    for kind, name in EVERY:
        found = description(name, ALL[kind][name])
        shown = lines(found, width)
        assert max(map(len, shown)) <= width
        assert sum(line.startswith("    :") for line in shown) == len(found.options)
        words = [word for option in found.options for word in f"{option.text} {option.says}".split()]
        assert set(words) <= {word.lstrip(":") for line in shown for word in line.split()} | {":"}


def test_a_part_or_a_kind_is_shown_alone(capsys):
    assert main(["parts", "gaussian"]) == 0
    assert ":sigma=shared" in (one := capsys.readouterr().out)
    assert "bernoulli" not in one
    assert main(["parts", "likelihood"]) == 0
    kind = capsys.readouterr().out
    assert ":sigma=shared" in kind
    assert "bernoulli" in kind
    assert main(["parts"]) == 0
    every = capsys.readouterr().out
    assert [name for _, name in EVERY if f"\n  {name}" not in every] == []
    assert main(["parts", "gausian"]) == 2
    assert "did you mean 'gaussian'" in capsys.readouterr().err
