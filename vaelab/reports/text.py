"""Numbers, lists and tables as text, with one format for all parts of a report."""

from dataclasses import dataclass
from math import floor, log10

from vaelab.evaluation.measure import Metric
from vaelab.evaluation.proportion import Proportion

DASH = "\N{EM DASH}"  # for a value that is not defined for this row
MINUS = "\N{MINUS SIGN}"
PLUS_MINUS = "\N{PLUS-MINUS SIGN}"
KEEP = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True)
class Table:
    """Columns and rows of text."""

    columns: list[str]
    rows: list[list[str]]


def number(value: float, decimals: int = 0) -> str:
    """A number with separated thousands, a true minus sign, and no negative zero."""
    text = f"{value:,.{decimals}f}"
    return text.replace("-", MINUS) if any(digit in text for digit in "123456789") else text.lstrip("-")


def plus_minus(value: float, se: float | None) -> str:
    """A value with its standard error, which has two significant digits; a value without an error has four."""
    if not se:
        return number(value, max(0, 3 - floor(log10(abs(value)))) if value else 0)
    decimals = max(0, 1 - floor(log10(se)))
    return f"{number(value, decimals)}{KEEP}{PLUS_MINUS}{KEEP}{number(se, decimals)}"


def latent(dimensions: int) -> str:
    return f"z{KEEP}={KEEP}{dimensions}"


def percent(share: float, decimals: int = 0) -> str:
    return f"{number(100 * share, decimals)}{KEEP}%"


def with_errors(metric: Metric) -> str:
    """The value of a metric with its 95 % interval, or with standard error and the error of its draws."""
    if metric.interval is None:
        draws = metric.monte_carlo_se
        return plus_minus(metric.value, metric.se) + (f" (draws {PLUS_MINUS}{KEEP}{draws:.2g})" if draws else "")
    low, high = metric.interval
    decimals = max(0, 1 - floor(log10((high - low) / 4))) if high > low else 3
    return f"{number(metric.value, decimals)} ({number(low, decimals)} to {number(high, decimals)})"


def with_interval(share: Proportion) -> str:
    low, high = share.interval
    return f"{100 * share.value:.1f} % (95 % interval {100 * low:.1f} to {100 * high:.1f}, n = {share.n:,})"


def counted(count: int, thing: str) -> str:
    """A count with its noun, such as "1 run" or "3 runs"."""
    return f"{number(count)} {thing}{'' if count == 1 else 's'}"


def sentence(clause: str) -> str:
    """A clause with a capital letter and a full stop."""
    return f"{clause[:1].upper()}{clause[1:]}."


def listed(words: list[str]) -> str:
    """A list in words, such as "a, b and c"; "none" if it is empty."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]])) or "none"
