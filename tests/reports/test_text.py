"""Numbers and lists as text."""

from vaelab.reports.text import listed, number, plus_minus


def test_numbers_read_well() -> None:
    assert plus_minus(1234.567, 0.0123) == "1,234.567\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}0.012"
    assert plus_minus(-99.234, 0.31) == "−99.23\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}0.31"
    assert plus_minus(15595.3, 26.1) == "15,595\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}26"
    assert plus_minus(0.012345, None) == "0.01235"
    assert plus_minus(0.0, None) == "0"
    assert number(-0.001, 2) == "0.00"
    assert [listed([]), listed(["a"]), listed(["a", "b", "c"])] == ["none", "a", "a, b and c"]
