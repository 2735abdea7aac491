"""Which runs can be tried in a report, and how their pages are kept in it."""

import zlib

from vaelab.explorer.pack import deflated
from vaelab.reports import explorers as module
from vaelab.reports import write_report
from vaelab.reports.context import ReportContext
from vaelab.reports.explorers import best_of, explorers
from vaelab.system.errors import SpecError


def test_the_best_of_the_largest_comparable_set_is_chosen(trained) -> None:
    grey = [m for m in trained.members if m.spec.protocol == "grey"]
    best = min(grey, key=lambda member: member.run.metric("nll").value)
    assert best_of(trained.members) == best  # the nats of 8bit are not compared with those of grey
    assert best_of([]) is None


def test_a_report_holds_the_best_two_dimensional_run_and_the_best_run(trained, tmp_path) -> None:
    found = explorers(ReportContext(trained), tmp_path)
    two = best_of([m for m in trained.members if m.latent == 2])
    assert two is not None
    assert found[0].run == two.label
    assert {one.run for one in found} == {two.label, getattr(best_of(trained.members), "label", "")}
    assert all(one.packed and not one.why for one in found)


def test_a_page_is_inflated_to_what_it_was() -> None:
    text = "<p>déjà vu \N{GREEK SMALL LETTER MU}</p>" * 50
    written = deflated(text.encode())
    bits = "".join(f"{(ord(letter) ^ 64) & 127:07b}" for letter in written)
    content = int(bits[: len(bits) // 8 * 8], 2).to_bytes(len(bits) // 8, "big")
    assert zlib.decompress(content, wbits=-15).decode() == text
    assert len(written) < len(text)


def test_a_model_that_cannot_run_in_a_page_is_told_in_a_line(trained, tmp_path, monkeypatch) -> None:
    def refuse(runs: object) -> str:
        raise SpecError(found="the operation <b>median</b>", expected="one that the page has", do="use --serve")

    monkeypatch.setattr(module, "page", refuse)
    page = write_report(trained, tmp_path).page.read_text()
    assert "It cannot be tried in a page: the operation &lt;b&gt;median&lt;/b&gt;; use --serve." in page
    assert 'class="packed"' not in page
    assert "Explorer of" in page  # the picture is there


def test_a_large_model_gives_way_to_a_smaller_one_or_is_told(trained, tmp_path, monkeypatch) -> None:
    sizes = sorted(member.run.result["parameters"] for member in trained.members)
    monkeypatch.setattr(module, "MOST_PARAMETERS", sizes[0])
    (first, *_) = explorers(ReportContext(trained), tmp_path)
    assert first.packed
    monkeypatch.setattr(module, "MOST_PARAMETERS", 1)
    for one in explorers(ReportContext(trained), tmp_path):
        assert not one.packed
        assert "vaelab explore" in one.why
