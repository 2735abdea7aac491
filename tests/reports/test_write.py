import json
import re
from dataclasses import replace
from itertools import pairwise

import pytest

from vaelab.reports import check_report, write_report
from vaelab.reports.context import ReportContext
from vaelab.reports.table import COLUMNS, comparison
from vaelab.reports.text import DASH
from vaelab.system.errors import RunError, SpecError


def test_the_report_of_a_finished_study_is_whole(written) -> None:
    assert check_report(written.study, written.html) == []


def test_written_twice_it_has_the_same_bytes(written) -> None:
    before = written.html.read_bytes(), written.markdown.read_bytes()
    pictures = {path.name: path.read_bytes() for path in (written.html.parent / "report").iterdir()}
    again = write_report(written.study, written.html.parent)
    assert (again.page.read_bytes(), again.text.read_bytes()) == before
    assert {path.name: path.read_bytes() for path in (written.html.parent / "report").iterdir()} == pictures


def test_the_page_needs_no_network(written) -> None:
    page = written.html.read_text()
    assert not re.search(r"(src|href)=[\"'](?!data:|#)", page)
    assert not re.search("https?:", page)  # with the colon, which no picture's base64 has
    assert "<script>" in page
    assert "table.runs" in page
    assert "default-src 'none'" in page


def test_every_picture_that_the_markdown_links_is_there(written) -> None:
    links = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", written.markdown.read_text())
    assert "report/figure-1b.png" in links
    assert "report/figure-1b-prior.png" in links
    assert all((written.markdown.parent / link).stat().st_size > 0 for link in links)


def test_the_rows_of_a_markdown_table_have_as_many_cells_as_its_heading(written) -> None:
    width = 0
    for line in written.markdown.read_text().splitlines():
        cells = line.count("|")
        assert not line.startswith("|") or width in (0, cells), line
        width = cells if line.startswith("|") else 0


def test_the_table_holds_the_numbers_of_the_runs(written) -> None:
    blocks = comparison(ReportContext(written.study))
    assert [(block.data, block.protocol) for block in blocks] == [("digits", "grey"), ("digits", "8bit")]
    rows = {row.label: row for block in blocks for row in block.rows}
    for member in written.study.members:
        row = rows[member.label]
        assert set(row.cells) == set(COLUMNS)
        assert row.cells["elbo"].value == -member.run.metric("elbo").value
        assert row.cells["nll"].value == member.run.metric("nll").value
        grey = member.spec.protocol == "grey"
        assert (row.cells["bits_per_dim"].text == DASH) == grey
        assert (row.note == "not a likelihood") == grey


def test_the_legend_explains_the_marks_of_the_table_only(written, tmp_path) -> None:
    def legend(page: str) -> str:
        return page.partition("Rate and distortion")[0].rpartition("NLL uses K")[0].rpartition('<p class="legend">')[2]

    grey = [m for m in written.study.members if m.spec.protocol == "grey"]
    eight = [m for m in written.study.members if m.spec.protocol == "8bit"]
    for members, has in ((grey, True), (eight, False)):
        study = replace(written.study, members=members, claims=[], figures=[])
        page = write_report(study, tmp_path).page.read_text()
        assert ("not a likelihood" in legend(page)) == has
        assert "&Dagger;" not in page


def test_a_partial_report_shows_what_is_done_and_marks_the_rest(partial) -> None:
    done = write_report(partial, partial.folder)
    missing = check_report(partial, done.page)
    assert "panel 1b: missing" in missing
    assert "panel 1b prior: missing" in missing
    assert "table: no elbo of mlp z=5" in missing
    assert "the page has the mark 'not run yet'" in missing
    assert not any("z=2" in one or "1a" in one or "1c" in one or one.startswith("claim") for one in missing)
    assert "3 of 6 runs are not run yet" in done.text.read_text()


def test_a_study_of_which_nothing_is_done_has_a_report(partial) -> None:
    for member in partial.members:
        (member.run.path / "result.json").unlink(missing_ok=True)
    missing = check_report(partial, write_report(partial, partial.folder).page)
    assert len([one for one in missing if one.startswith("panel")]) == 4
    assert not any(one.startswith("claim") for one in missing)


def test_a_quick_study_says_so(trained, tmp_path) -> None:
    quick = write_report(replace(trained, quick=True, claims=[]), tmp_path)
    assert "Quick budget" in quick.page.read_text()
    assert "Quick budget" in quick.text.read_text()


def test_runs_of_different_environments_are_told_apart(partial) -> None:
    path = partial.members[0].run.path / "result.json"
    result = json.loads(path.read_text())
    result["environment"] |= {"torch": "9.9", "date": "2001-01-01"}
    path.write_text(json.dumps(result))
    page = write_report(partial, partial.folder).page.read_text()
    assert "in 2 environments" in page
    assert "torch 9.9" in page
    assert "Runs finished 2001-01-01 to" in page


def test_data_that_have_changed_are_not_mixed_with_old_numbers(partial) -> None:
    path = partial.members[0].run.path / "result.json"
    result = json.loads(path.read_text())
    result["data"]["test"]["sha256"] = "0" * 64
    path.write_text(json.dumps(result))
    with pytest.raises(RunError, match="made with other images than digits has now"):
        write_report(partial, partial.folder)


def test_an_unknown_claim_is_a_users_error(trained, tmp_path) -> None:
    with pytest.raises(SpecError, match=r"claim .beauty.*expected one of digits"):
        write_report(replace(trained, claims=["beauty"]), tmp_path)


def test_text_from_a_study_is_escaped(trained, tmp_path) -> None:
    study = replace(trained, title="<script>alert(1)</script>", claims=[], figures=[])
    assert "<script>alert" not in write_report(study, tmp_path).page.read_text()


def test_names_of_others_add_nothing_to_the_markdown(trained, tmp_path) -> None:
    """Neither cells, lines, tags, links nor code."""
    name = "a|b\n# forged\n| x | <img src=x> [l](javascript:1) `c`"
    first = trained.members[0]
    members = [replace(first, label=name, title=name, group=name), *trained.members[1:]]
    study = replace(trained, title=name, about=name, members=members, claims=[], figures=[])
    text = write_report(study, tmp_path).text.read_text()
    lines = text.splitlines()
    assert "forged" in text
    assert not [line for line in lines if line.startswith(("# forged", "| x |"))]
    assert "<img" not in text
    assert text.count("](javascript") == text.count(r"\[l\](javascript")
    for line, after in pairwise(lines):
        if line.startswith("|") and after.startswith("|"):
            cells = [re.sub(r"\\\|", "", row).count("|") for row in (line, after)]
            assert cells[0] == cells[1], line
