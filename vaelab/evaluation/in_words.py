"""The numbers of a metric as text, with as many digits as their uncertainty allows."""

import math
from collections.abc import Sequence

from vaelab.evaluation.measure import Metric, draws_in_words

ERROR = "+- SE or 95 %"  # the name of `error_of`
MOST_DIGITS = 8  # of a value: an uncertainty of rounding alone asks for more


def error_of(m: Metric, decimals: int) -> str:
    """The interval of 95 % of a metric, or its standard error; empty if it has neither."""
    if m.interval is not None:
        return f"{m.interval[0]:.{decimals}f} to {m.interval[1]:.{decimals}f}"
    return "" if m.se is None else f"{m.se:.{decimals}f}"


def decimals_of(m: Metric) -> int:
    """Decimals that show two digits of the uncertainty; four digits of a value without one, none of a whole number."""
    error = (m.interval[1] - m.interval[0]) / 4 if m.interval is not None else m.se or m.monte_carlo_se
    if error:
        most = MOST_DIGITS - 1 - math.floor(math.log10(abs(m.value))) if m.value else math.inf
        return int(max(0, min(1 - math.floor(math.log10(error)), most)))
    return 0 if float(m.value).is_integer() else max(0, 3 - math.floor(math.log10(abs(m.value))))


def in_one_line(m: Metric) -> str:
    """A metric such as "nll 101.25 +- 0.31 nats/image (10,000 test images, binary-dynamic, K 100)"."""
    draws = draws_in_words(m)
    of = ", ".join([f"{m.images:,} {m.split} images", m.protocol, *([f"K {draws}"] if draws else [])])
    return f"{m.name} {_with_error(m)} {m.unit} ({of})"


def _with_error(m: Metric) -> str:
    decimals = decimals_of(m)
    error = error_of(m, decimals)
    return f"{m.value:.{decimals}f}" + (f" ({error})" if m.interval is not None else f" +- {error}" if error else "")


def aligned(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Rows of cells as lines of a table; the columns `right` are aligned right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.rjust(width) if i in right else cell.ljust(width) for i, (cell, width) in enumerate(cells))
        for cells in (list(zip(row, widths, strict=True)) for row in rows)
    )
    return "\n".join(line.rstrip() for line in lines)


class Metrics(list[Metric]):
    """A list of metrics that prints as a table."""

    def __repr__(self) -> str:
        if not self:
            return "no metrics"
        head = ("metric", "value", ERROR, "unit", "K", "images", "pixels")
        rows = [
            (
                m.name,
                f"{m.value:.{decimals_of(m)}f}",
                error_of(m, decimals_of(m)),
                m.unit,
                draws_in_words(m),
                f"{m.images:,} {m.split}",
                m.protocol,
            )
            for m in self
        ]
        return aligned([head, *rows], right=(1, 2, 4))
