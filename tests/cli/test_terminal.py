"""What is printed: within 100 columns, and nothing cut off or swallowed."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from vaelab.cli import terminal
from vaelab.evaluation.measure import FEW_EFFECTIVE, FEW_MARK, Metric
from vaelab.runs.compare import Ranked, Ranking
from vaelab.runs.directory import Run
from vaelab.training.callback import Status

LONG = "frechet_train[my_package.features.networks.InceptionPool3-5cf6e6b0]"
NLL = Metric(
    name="nll",
    value=101.25,
    unit="squared distance of features",
    better="lower",
    images=10_000,
    split="test",
    protocol="binary-dynamic",
    se=0.031,
    monte_carlo_se=0.0021,
    samples=5_000,
)


def printed(capsys) -> str:
    """What was printed; its lines are no wider than 100."""
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 100
    assert "…" not in out
    return out


def joined(out: str) -> str:
    """A table's first column, its folded lines put together."""
    return "".join(re.match(r"\S*", line)[0] for line in out.splitlines())  # type: ignore[index]


@pytest.mark.parametrize("name", ["nll", "frechet[classifier-5cf6e6b0]", "frechet_train[classifier-5cf6e6b0]", LONG])
def test_a_metric_is_shown_by_its_whole_name_and_unit(name: str, capsys):
    metrics = [
        replace(NLL, name=name),
        replace(NLL, name=f"density{name}", unit="neighbourhoods / k", note="[red] :smile:"),
    ]
    terminal.print_metrics("runs/[odd] name", metrics)
    out = printed(capsys)
    assert "runs/[odd] name" in out
    assert "[1] [red] :smile:" in out
    assert name in joined(out)
    if name != LONG:  # its features stand in one line
        assert name.partition("[")[2] in out
    assert f"density{name}" in joined(out)
    for word in ["squared", "distance", "of", "features", "neighbourhoods", "101.250", "10,000", "5,000"]:
        assert word in out


@pytest.mark.parametrize("metric", ["nll", "frechet[classifier-5cf6e6b0]", LONG])
def test_runs_are_ranked_by_their_whole_names(metric: str, capsys):
    names = [f"npz-home-someone-data-of-mine-gaussian-article-conv-z{i}-0123456789abcdef" for i in range(2)]
    runs = [
        Ranked(Run(Path("runs") / name, must_exist=False), replace(NLL, name=metric), i, 0.1 * i)
        for i, name in enumerate(names)
    ]
    terminal.print_rankings(metric, [Ranking("data [mine]  unit nats", "lower", runs)])
    out = printed(capsys)
    assert "data [mine]" in out
    assert all(name in joined(out) for name in names)
    assert re.search(r"\b101\.250\b", out)
    if metric != LONG:
        assert all(part in out for part in metric.split("["))


def test_a_number_that_rests_on_few_draws_is_marked_in_a_ranking(capsys):
    marked, plain = replace(NLL, note=f"not a likelihood; {FEW_EFFECTIVE}"), replace(NLL, value=102.0)
    runs = [
        Ranked(Run("runs/few", must_exist=False), marked, 0, None),
        Ranked(Run("runs/many", must_exist=False), plain, 0.75, 0.1),
    ]
    terminal.print_rankings("nll", [Ranking("data mnist", "lower", runs)])
    lines = printed(capsys).splitlines()
    assert [FEW_MARK in line for line in lines if line.startswith(("few", "many"))] == [True, False]
    assert f"{FEW_MARK} {FEW_EFFECTIVE}"[:90] in " ".join(lines)
    terminal.print_rankings("nll", [Ranking("data mnist", "lower", runs[1:])])
    assert FEW_MARK not in printed(capsys)


def test_a_terminal_of_80_columns_shows_every_name_and_mark(monkeypatch, capsys):
    monkeypatch.setattr(terminal.SafeConsole, "is_terminal", True)
    monkeypatch.setenv("COLUMNS", "80")
    nll = replace(NLL, value=-16966.4, se=82.0, unit="nats/image", samples=100, images=180)
    share = replace(nll, name="effective_below_2", value=0.0056, se=None, interval=(0.001, 0.0308), unit="share")
    mean = replace(nll, name="aggregate_correlation_mean", value=0.07, unit="latent dimensions", note="of 2")
    terminal.print_metrics("run", [nll, share, mean, replace(nll, name="nll_ais", images=50)])
    out = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)
    assert max(len(line.rstrip()) for line in out.splitlines()) <= 80
    assert re.search(r"^nll +-16966 +82 +0\.0021 +nats/image +100\b", out, re.MULTILINE)
    assert re.search(r"^aggregate_correlation_mean\b.*\[1\] *$", out, re.MULTILINE)
    counts = re.findall(r"^run: (.*)", out, re.MULTILINE)
    assert counts == ["180 test images, binary-dynamic", "50 test images, binary-dynamic"]


def at(width: int, monkeypatch, capsys) -> list[str]:
    """The lines of a table of metrics and of a ranking in a terminal of this width."""
    monkeypatch.setattr(terminal.SafeConsole, "is_terminal", True)
    monkeypatch.setenv("COLUMNS", str(width))
    share = replace(NLL, name="effective_below_2", value=0.0056, se=None, interval=(0.001, 0.0308), unit="share")
    few = replace(NLL, name="aggregate_correlation_mean", note=FEW_EFFECTIVE)
    terminal.print_metrics("run", [NLL, share, few])
    runs = [Ranked(Run(f"runs/digits-gaussian-conv-z{i}", must_exist=False), few, i, 0.1 * i) for i in range(2)]
    terminal.print_rankings("frechet[classifier-5cf6e6b0]", [Ranking("data mnist", "lower", runs)])
    lines = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out).splitlines()
    assert max(len(line.rstrip()) for line in lines) <= width
    return lines


@pytest.mark.parametrize("width", [50, 80, 100])
def test_names_are_whole_and_marks_are_kept_at_any_width(width, monkeypatch, capsys):
    lines = at(width, monkeypatch, capsys)
    for name in ("effective_below_2", "aggregate_correlation_mean", "digits-gaussian-conv-z1", "0.0010 to 0.0308"):
        assert any(name in line for line in lines)
    (row,) = [i for i, line in enumerate(lines) if line.startswith("aggregate_correlation_mean")]
    assert "[1]" in " ".join(lines[row : row + 4])
    assert sum(FEW_MARK in line for line in lines) == 3  # at both runs, and its meaning


def test_a_table_that_is_too_wide_becomes_blocks(monkeypatch, capsys):
    lines = at(50, monkeypatch, capsys)
    start = lines.index("effective_below_2" + " " * (len(lines[1]) - len("effective_below_2")))
    assert [line.strip() for line in lines[start + 1 : start + 4]] == [
        "value 0.0056  +- SE or 95 % 0.0010 to 0.0308",
        "+- draws 0.0021  unit share  K 5,000",
        "aggregate_correlation_mean",
    ]


@pytest.mark.parametrize("width", [50, 80])
def test_records_and_facts_hold_too(width, monkeypatch, capsys):
    monkeypatch.setattr(terminal.SafeConsole, "is_terminal", True)
    monkeypatch.setenv("COLUMNS", str(width))
    parts = "likelihood=gaussian:sigma=pixel  network=residual:channels=32,64"
    terminal.print_records("models", [{"preset": "beta-tc-vae", "parts": parts, "source": "Chen et al. 2018"}])
    terminal.print_facts(
        "", {"weights chosen by": "a rather long sentence of many words, which is wrapped between them"}
    )
    out = capsys.readouterr().out
    assert max(len(re.sub(r"\x1b\[[\d;]*m", "", line).rstrip()) for line in out.splitlines()) <= width
    for word in (*parts.split(), "beta-tc-vae", "weights chosen by"):
        assert word in out


def test_a_range_of_draws_is_shown_as_one(capsys):
    terminal.print_metrics("run", [replace(NLL, fewest_samples=100, samples=10_000, note=FEW_EFFECTIVE)])
    out = printed(capsys)
    assert "100 to 10,000" in out
    assert f"[1] {FEW_EFFECTIVE}"[:90] in out


def test_what_no_direction_is_better_of_is_above_the_first_and_not_behind(capsys):
    runs = [Ranked(Run(name, must_exist=False), replace(NLL, name="rate"), i, None) for i, name in enumerate("ab")]
    for better in ("lower", "neither"):
        terminal.print_rankings("rate", [Ranking("data digits", better, runs)])
    ranked, listed = printed(capsys).split("data digits")[1:]
    assert "behind" in ranked
    assert "above" in listed
    assert "behind" not in listed


def test_names_in_brackets_are_facts_and_records_too(capsys):
    terminal.print_facts("[a]", {"layer": "network[0]"})
    terminal.print_records("layers [b]", [{"layer": "features[bold]", "kind": "[i]"}])
    out = printed(capsys)
    assert all(name in out for name in ("[a]", "network[0]", "layers [b]", "features[bold]", "[i]"))


def test_an_error_of_rounding_alone_does_not_ask_for_more_digits(capsys):
    terminal.print_metrics("run", [replace(NLL, name="mutual_information", value=4.094344562222, se=1.8e-13)])
    assert re.search(r"^mutual_information +4\.0943446 +0\.0000000 ", printed(capsys), re.MULTILINE)


def test_a_long_name_in_a_record_is_folded_and_not_cut(capsys):
    path = f"/home/{'a-long-name/' * 10}photos"
    terminal.print_records("decoded folders", [{"folder": path, "images": "40 of 16 x 16 RGB", "size": "1.0 MB"}])
    assert path in printed(capsys).replace("\n", "")


def status(
    elbo: float,
    beside: tuple[Status, ...] = (),
    validation: float | None = None,
    step: int = 500,
    judged: bool = True,
) -> Status:
    terms = {"elbo": -elbo, "rate": 20.0, "distortion": elbo - 20}
    row = None if validation is None else {"validation": {"loss": validation}, "criterion": "-ELBO", "judged": judged}
    return Status(step, 1000, 15, 30, 123_456, 4000, terms, row, beside)


def test_a_line_of_runs_that_are_one_program_gives_the_range_of_each_number(capsys):
    with terminal.watching(terminal.console()) as callback:
        callback.show(status(101.25, (status(99.5, (), 98.0), status(1234.5, (), 102.5)), 101.0))
    assert printed(capsys) == (
        "epoch 15.0/30  3 runs  -ELBO 99.50 to 1,234 nats  1:06:40 left  validation 98.00 to 102.50 (-ELBO)\n"
    )


def test_a_line_says_that_no_weights_are_chosen_while_a_schedule_moves(capsys):
    with terminal.watching(terminal.console()) as callback:
        callback.show(status(101.25, (), 98.0, judged=False))
    assert capsys.readouterr().out.endswith("validation 98.00 (-ELBO; not judged yet: its schedule moves)\n")


def test_the_bar_says_what_is_measured_after_the_last_epoch():
    import io

    out = io.StringIO()
    console = terminal.SafeConsole(file=out, force_terminal=True, width=80, markup=False)
    with terminal.watching(console) as callback:
        callback.show(status(99.0, step=1000))
        callback.measured("likelihood", 0.4)
    assert "measuring likelihood 40 %" in out.getvalue()
