"""The numbers of a metric as text, with as many digits as their uncertainty allows."""

import math

from vaelab.evaluation.measure import Metric

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
