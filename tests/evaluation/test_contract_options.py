"""What every option of every measure owes: an effect, and a line for each value that makes no sense."""

import inspect
from dataclasses import replace

import pytest

from tests.evaluation.contract import CASE_OF, cheapen, context, made, rows
from vaelab.evaluation.measure import EvaluationContext
from vaelab.evaluation.measures import METRICS
from vaelab.parts.names import make
from vaelab.system.errors import SpecError

# Options that matter, a value beside the case's own, and what is impossible.
OPTIONS = {
    "ais": {
        "temperatures": ("7", ("1", "0", "-1", "1.5", "many")),
        "chains": ("3", ("0", "-1", "1001")),
        "leapfrog": ("3", ("0", "-1")),
        "images": ("5", ("0", "-1")),
        "start": ("posterior", ("q", "")),
        "simulated": ("2", ("-1", "nan")),
        "samples": ("21", ("0", "-1")),
    },
    "disentanglement": {"bins": ("5", ("1", "0", "-1")), "images": ("510", ("499", "0", "-1"))},
    "fidelity": {
        "features": ("tests.evaluation.contract.Thumbnail", ("pixel", "", "no.such.Module", "torch.nn.NoSuchThing")),
        "images": ("110", ("-1", "all")),
        "neighbours": ("3", ("0", "-1")),
        "draw": ("sample", ("median", "")),
    },
    "latents": {"images": ("100", ("1", "0", "-1")), "samples": ("3", ("0", "-1"))},
    "likelihood": {
        "samples": ("13", ("0", "-1", "nan", "many")),
        "at_most": ("300", ("99", "0", "-1")),
        "images": ("100", ("-1",)),
        "memory_mb": ("0.001", ("-1", "nan", "inf", "-inf", "much")),
        "precision": ("bfloat16", ("half", "")),
    },
    "reconstruction": {"samples": ("4", ("0", "-1"))},
    "representation": {"neighbours": ("4", ("0", "-1", "201")), "images": ("150", ("0", "-1"))},
}


@pytest.fixture(autouse=True)
def _cheap(monkeypatch):
    cheapen(monkeypatch)


def changed(name: str, option: str, value: str) -> str:
    """The case of that measure with another value of an option."""
    kept = [word for word in CASE_OF[name].text.split(":") if not word.startswith(f"{option}=")]
    return ":".join([*kept, f"{option}={value}"])


def numbers(text: str, of: EvaluationContext) -> list[tuple[object, ...]]:
    return [(row.value, row.se, row.monte_carlo_se, row.interval) for row in rows(made(text), of).values()]


def test_every_option_has_a_value_to_try():
    options = {name: list(inspect.signature(measure).parameters) for name, measure in METRICS.items()}
    assert {name: list(values) for name, values in OPTIONS.items()} == options


@pytest.mark.parametrize("name", METRICS)
def test_every_option_has_an_effect(name: str, tmp_path):
    case = CASE_OF[name]
    of = context(replace(case, images=case.images + 10), tmp_path)
    expected = numbers(case.text, of)
    for option, (value, _) in OPTIONS[name].items():
        if option == "at_most":  # of samples=auto alone
            few, many = (numbers(f"{name}:samples=auto:at_most={bound}", of) for bound in ("100", value))
            assert few != many
        elif option == "memory_mb":  # which changes no number; but too little is refused
            with pytest.raises(SpecError, match=r"memory_mb = 0\.001"):
                rows(made(changed(name, option, value)), of)
        else:
            assert numbers(changed(name, option, value), of) != expected, option


REFUSED = [
    (name, option, value)
    for name, options in OPTIONS.items()
    for option, (_, refused) in options.items()
    for value in refused
]


@pytest.mark.parametrize(("name", "option", "value"), REFUSED)
def test_an_impossible_value_is_refused_in_one_line_before_any_work(name: str, option: str, value: str, tmp_path):
    of = context(CASE_OF[name], tmp_path)
    with pytest.raises(SpecError) as refused:
        made(changed(name, option, value)).check(of)
    assert len(str(refused.value).splitlines()) == 1
    assert option in str(refused.value)


def test_an_option_that_there_is_not_is_refused():
    for name in METRICS:
        with pytest.raises(SpecError, match="unknown option of metric"):
            made(f"{name}:colour=red")


LEAST = [
    "ais:temperatures=2", "ais:chains=1", "ais:leapfrog=1", "ais:images=1", "ais:simulated=0", "ais:samples=1",
    "disentanglement:bins=2", "disentanglement:images=500", "fidelity:images=0", "fidelity:neighbours=1",
    "latents:images=2", "latents:samples=1", "likelihood:samples=1", "likelihood:at_most=100", "likelihood:images=0",
    "reconstruction:samples=1", "representation:neighbours=1", "representation:images=5",
]  # fmt: skip


@pytest.mark.parametrize("text", LEAST)
def test_the_least_that_an_option_may_be_is_allowed(text):
    make("metric", METRICS, text)
