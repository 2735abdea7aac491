import io
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import markdown, table
from benchmarks.ratios import SIGMAS, agreements, break_even, ratios, spread
from benchmarks.summary import rows
from tests.benchmarks.raw import made_up, training_run


def test_ratios_are_of_pairs_and_their_median_is_not_the_ratio_of_the_medians():
    found = ratios({0: 10.0, 1: 30.0, 2: 8.0, 4: 1.0}, {0: 5.0, 1: 10.0, 2: 5.0, 3: 1.0})
    assert found is not None
    assert (found.median, found.low, found.high, found.count) == (2.0, 1.6, 3.0, 3)
    assert ratios({0: 1.0}, {1: 1.0}) is None
    assert spread([]) is None


def test_compiling_has_paid_when_the_steps_have_saved_as_much():
    assert break_even(20.0, eager_ms=9.0, compiled_ms=5.0) == pytest.approx(5_000)
    assert break_even(20.0, eager_ms=5.0, compiled_ms=5.0) is None


def test_losses_within_the_spread_of_seeds_agree():
    losses = {"ours": [100.0, 101.0, 99.0], "same": [100.5, 99.5, 101.5], "less": [109.0, 110.0, 111.0]}
    found = agreements(losses, {}, "ours")
    s = 1.0  # squares 2 + 2 + 2, degrees of freedom 6
    assert found["same"].tolerance == pytest.approx(SIGMAS * s * (2 / 3) ** 0.5)
    assert found["same"].difference == pytest.approx(0.5)
    assert found["same"].agrees
    assert not found["less"].agrees
    assert "ours" not in found


def test_a_peer_that_does_better_by_doing_other_work_does_not_agree_either():
    assert not agreements({"ours": [100.0, 100.1], "other": [90.0, 90.1]}, {}, "ours")["other"].agrees


def test_single_runs_are_judged_by_the_errors_they_state():
    found = agreements({"ours": [100.0], "same": [101.0], "less": [110.0]}, {"ours": [0.5], "same": [None]}, "ours")
    assert found["same"].agrees
    assert not found["less"].agrees
    assert found["less"].tolerance == pytest.approx(SIGMAS * 0.5 * 2**0.5)


def test_rows_hold_medians_ratios_shares_and_compile_times():
    ours, other, broken = rows(made_up(), "a")
    assert ours.measured is not None
    assert ours.measured.median == 5.0
    assert ours.ceiling == pytest.approx(0.5)  # 0.5 GFLOP in 5 ms are 100 of 200 GFLOP/s
    assert (ours.compile_cold, ours.compile_warm) == (20.0, 4.0)
    assert ours.whole is not None
    assert (ours.whole.count, ours.whole.high) == (3, 12.0)  # the cold run is none of the pairs
    assert ours.break_even_cold == pytest.approx(5_000)
    assert ours.break_even_warm == pytest.approx(1_000)
    assert (ratio := other.ratios["vaelab float32"]) is not None
    assert (ratio.median, ratio.low, ratio.high) == (2.0, 1.6, 3.0)
    assert (whole := other.whole_ratios["vaelab float32"]) is not None
    assert whole.median == pytest.approx(12 / 7)
    assert other.agreement is not None
    assert other.agreement.agrees
    assert broken.measured is None
    assert broken.reason == "No module named 'jax'"


def test_the_table_fits_100_columns_and_tells_all():
    out = io.StringIO()
    table.show(made_up(), Console(file=out, width=100, no_color=True))
    text = out.getvalue()
    assert max(map(len, text.splitlines())) <= 100
    words = " ".join(text.split())
    for said in ("2.00", "(1.6-3.0)", "50 %", "No module named 'jax'", "200 GFLOP/s in float32", "copy 25.0 GB/s"):
        assert said in words, said
    assert "5,000 steps (1,000 from a warm cache)" in words
    assert words.count("not measured") >= 2  # JAX, and the loading of (f)


def test_a_peer_that_does_less_is_told_in_the_table():
    raw = made_up()
    raw["runs"] = [run for run in raw["runs"] if run["label"] != "pythae float32"]
    raw["runs"] += [training_run("pythae float32", pair, 5.0, 120.0 + 0.1 * pair) for pair in range(3)]
    (line,) = (line for line in table.remarks(raw, "a") if "pythae" in line)
    assert "differs by +20 nats" in line
    assert "| NO, +20 of " in markdown.workload_table(raw, "a")


def test_the_page_keeps_what_was_written_by_hand(tmp_path: Path):
    path = tmp_path / "docs" / "performance.md"
    raw = made_up()
    markdown.renew(path, raw)
    first = path.read_text()
    assert "yes, -0.1 of " in first
    assert "| pythae f32 | 10.00 (8.00-30.00) | 2.00 (1.60-3.00) |" in first
    assert first.count("not measured") >= 10  # every cell of JAX and of (f)
    marker = "<!-- written by hand: a -->\n"
    path.write_text(first.replace(marker, f"{marker}Bound by the matrix products.\n\nTwo paragraphs.\n"))
    raw["runs"][1]["step_ms"] = 4.0
    markdown.renew(path, raw)
    second = path.read_text()
    assert second.count("Bound by the matrix products.\n\nTwo paragraphs.\n") == 1
    assert "2.50 (1.60-3.00)" in second
    del raw["workloads"]["a"]  # a run of a part forgets no prose
    markdown.renew(path, raw)
    assert path.read_text().count("Bound by the matrix products.") == 1


def test_a_page_without_a_ceiling_says_so():
    raw = made_up() | {"ceiling": []}
    assert "ceiling: not measured" in markdown.page(raw, {})
    assert "50 %" not in markdown.page(raw, {})
