import re
from pathlib import Path

import pytest

from vaelab.reports import check_report


def faults(written, tmp_path: Path, pattern: str, replacement: str) -> list[str]:
    """What is missing once `pattern` is replaced in the page; the pattern has to be there."""
    page = written.html.read_text()
    changed, count = re.subn(pattern, replacement, page, count=1, flags=re.DOTALL)
    assert count == 1
    (tmp_path / "report.html").write_text(changed)
    return check_report(written.study, tmp_path / "report.html")


@pytest.mark.parametrize(
    ("pattern", "replacement", "found"),
    [
        (r'<img data-panel="1b".*?>', "", "panel 1b: missing"),
        (r'<img data-panel="1b prior".*?>', "", "panel 1b prior: missing"),
        (r'(data-panel="1a" src=")[^"]*', r"\1data:image/png;base64,", "panel 1a: cannot be decoded"),
        (r'(data-panel="1a" src="[^"]{2022})[^"]*', r"\1", "panel 1a: cannot be decoded"),
        (r'(data-panel="1c" src=")[^"]*', r"\1report/figure-1c.png", "panel 1c: not inlined as PNG"),
        (r'<td data-column="nll".*?</td>', "", "table: no nll of mlp z=2"),
        (r'(<td data-column="parameters"[^>]*>)[^<]*', r"\1", "table: no parameters of mlp z=2"),
        (r'<tr data-run="conv z=5">.*?</tr>', "", "table: no bits_per_dim of conv z=5"),
        (r'(data-claim="dimensions-1".*?data-verdict>)[^<]*', r"\1", "claim dimensions: no verdict"),
        (r'(data-claim="dimensions-1".*?data-verdict>)[^<]*', r"\1perhaps", "claim dimensions: no verdict"),
        ("</main>", "not run yet</main>", "the page has the mark 'not run yet'"),
    ],
)
def test_what_is_taken_out_is_found(written, tmp_path, pattern: str, replacement: str, found: str) -> None:
    assert any(fault.startswith(found) for fault in faults(written, tmp_path, pattern, replacement))


def test_a_claim_that_is_left_out_is_found(written, tmp_path) -> None:
    page = written.html.read_text()
    (tmp_path / "report.html").write_text(re.sub(r'data-claim="colours-\d"', 'data-claim="other-1"', page))
    assert check_report(written.study, tmp_path / "report.html") == ["claim colours: no verdict"]
