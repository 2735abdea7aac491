"""The report in a browser: from a file, without a network."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vaelab.explorer.page import page as real_page
from vaelab.reports import explorers, write_report
from vaelab.reports.context import ReportContext
from vaelab.reports.differences import differences
from vaelab.reports.records import records

pytestmark = pytest.mark.thorough(0.3)
HOSTILE = "<script>document.title='taken'</script> \"quoted\" 'n' & " + 300 * "w"


@pytest.fixture
def opened(written, tab) -> Any:
    tab.goto(written.html.as_uri())
    return tab


def shown(tab: Any) -> list[str]:
    rows = tab.locator("table.runs tbody tr")
    return [row.get_attribute("data-run") for row in rows.all() if row.is_visible()]


def test_six_columns_are_shown_and_the_others_are_chosen(opened) -> None:
    heads = opened.locator("table.runs").first.locator("thead th[data-key]")
    visible = [head.get_attribute("data-key") for head in heads.all() if head.is_visible()]
    assert visible == ["group", "latent", "elbo", "nll", "reconstruction_mse", "seconds"]
    opened.get_by_text("Columns", exact=True).click()
    opened.get_by_label("rate", exact=True).check()
    assert opened.locator('td[data-column="rate"]').first.is_visible()
    assert not opened.problems


def test_filters_leave_rows_and_marks_out(opened) -> None:
    opened.locator("[data-filter=latent]").select_option("5")
    assert shown(opened) == ["mlp z=5", "conv z=5", "gaussian z=5"]
    points = opened.locator("svg.chart").nth(1).locator(".point").all()
    assert points
    assert all(point.is_visible() == point.get_attribute("data-run").endswith("z=5") for point in points)
    opened.locator("[data-filter=likelihood]").select_option("gaussian")
    assert shown(opened) == ["gaussian z=5"]
    assert opened.locator(".block").nth(0).is_hidden()


def test_a_column_is_sorted_by_its_values(opened) -> None:
    button = opened.locator("table.runs").first.locator("button", has_text="NLL")
    for way in (1, -1):
        button.click()
        values = [
            float(cell.get_attribute("data-value"))
            for cell in opened.locator(".block").first.locator('td[data-column="nll"]').all()
        ]
        assert values == sorted(values, key=lambda value: way * value)


def test_two_runs_that_are_ticked_are_compared(opened, written) -> None:
    boxes = opened.get_by_label("Compare conv z=2"), opened.get_by_label("Compare mlp z=2")
    boxes[0].check()
    boxes[1].check()
    panel = opened.locator(".versus").first
    metric = differences([written.study.members[0], written.study.members[2]])["nll"]
    row = panel.locator("tr", has_text="NLL").inner_text()
    gap, half = metric.values[1] - metric.values[0], metric.halves[1][0]
    assert half is not None
    value, _, interval = row.split("\t")[3].replace("\N{MINUS SIGN}", "-").replace(" nats", "").partition(" ± ")
    assert float(value) == pytest.approx(gap, abs=0.06 * half)
    assert float(interval) == pytest.approx(half, rel=0.06)
    assert panel.locator("img").count() == 2
    opened.get_by_label("Compare conv z=5").check()
    assert not boxes[0].is_checked()  # the oldest gives way
    opened.get_by_label("Compare gaussian z=5").check()
    assert "not comparable" in opened.locator(".versus").nth(1).inner_text()


def test_a_run_is_lit_everywhere_and_says_its_numbers(opened) -> None:
    point = opened.locator('svg.chart .point[data-run="conv z=2"]').first
    point.focus()
    assert opened.locator(".hint").inner_text() == point.get_attribute("aria-label")
    assert "lit" in opened.locator('tr[data-run="conv z=2"]').get_attribute("class")
    opened.keyboard.press("ArrowDown")
    assert opened.locator(".hint").inner_text() != point.get_attribute("aria-label")
    opened.keyboard.press("Enter")
    assert opened.locator(".tick input:checked").count() == 1


def test_numbers_are_saved(opened, written, tmp_path) -> None:
    rows = records(ReportContext(written.study))
    for kind in ("csv", "json"):
        with opened.expect_download() as download:
            opened.get_by_role("button", name=kind.upper()).click()
        download.value.save_as(tmp_path / f"runs.{kind}")
    assert json.loads((tmp_path / "runs.json").read_text()) == rows
    with (tmp_path / "runs.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [(row["run"], float(row["nll_nats"])) for row in found] == [(row["run"], row["nll_nats"]) for row in rows]


@pytest.mark.parametrize("width", [420, 1280])
def test_nothing_scrolls_sideways(written, tab, width) -> None:
    tab.set_viewport_size({"width": width, "height": 800})
    tab.goto(written.html.as_uri())
    tab.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    over = "[...document.querySelectorAll('.fits')].map(e => e.scrollWidth - e.clientWidth)"
    assert max(tab.evaluate(over)) <= 0


def test_the_pictures_of_folded_cards_are_printed(written, tab) -> None:
    tab.goto(written.html.as_uri())
    pictures = set(tab.evaluate("[...document.querySelectorAll('.pixels')].map(e => e.src)"))
    assert len(pictures) > 10
    with_cards = len(re.findall(rb"/Subtype\s*/Image", tab.pdf()))
    tab.evaluate("document.querySelector('#runs').remove()")
    assert with_cards - len(re.findall(rb"/Subtype\s*/Image", tab.pdf())) == len(pictures)


def test_hostile_names_are_text(trained, tab, tmp_path) -> None:
    first = trained.members[0]
    members = [replace(first, label=HOSTILE, title=HOSTILE), *trained.members[1:]]
    study = replace(trained, title=HOSTILE, about=HOSTILE, members=members, claims=[], figures=[])
    tab.set_viewport_size({"width": 420, "height": 800})
    tab.goto(write_report(study, tmp_path).page.as_uri())
    assert tab.title() == HOSTILE
    assert tab.locator("h1").inner_text() == HOSTILE
    tab.locator(".tick input").nth(0).check()
    tab.locator(".tick input").nth(1).check()
    assert "<script>" in tab.locator(".versus h4").first.inner_text()
    tab.locator(".point").first.focus()
    assert tab.evaluate("document.documentElement.scrollWidth") == 420
    assert not tab.problems


def test_no_script_is_needed_to_read_it(written, browser) -> None:
    context = browser.new_context(java_script_enabled=False, offline=True)
    tab = context.new_page()
    tab.goto(written.html.as_uri())
    assert tab.locator('td[data-column="rate"]').first.is_visible()
    assert tab.locator(".stage img").first.is_visible()
    assert not tab.locator(".tools").is_visible()
    context.close()


def test_the_model_runs_inside_the_report(trained, tab, tmp_path, monkeypatch) -> None:
    pages = list[str]()

    def once(runs: Any) -> str:  # the second explorer costs as much as the first
        pages.append(pages[0] if pages else real_page(runs))
        return pages[-1]

    monkeypatch.setattr(explorers, "page", once)
    html = write_report(replace(trained, claims=[], figures=[]), tmp_path).page
    assert Path(html).stat().st_size < 3_000_000
    tab.goto(html.as_uri())
    frame = tab.frame_locator("iframe").first
    frame.locator("html[data-ready]").wait_for(timeout=60_000)
    before = frame.locator("[data-testid=where]").inner_text()
    frame.locator("[data-testid=map]").focus()
    frame.locator("[data-testid=map]").press("ArrowRight")
    tab.wait_for_timeout(300)
    assert frame.locator("[data-testid=where]").inner_text() != before
    if tab.locator(".explorer .open").count() > 1:
        tab.locator(".explorer .open").nth(1).click()
        tab.frame_locator("iframe").nth(1).locator("html[data-ready]").wait_for(timeout=60_000)
    assert not tab.problems
