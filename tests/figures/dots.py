"""Whether each pixel of an image covers a whole number of dots, in both directions the same."""

import pytest
from matplotlib.figure import Figure


def check_whole_dots(figure: Figure) -> None:
    for ax in figure.axes:
        if ax.images:
            height, width = ax.images[0].get_array().shape[:2]
            extent = ax.get_window_extent()
            dots = extent.width / width
            assert dots == pytest.approx(round(dots), abs=1e-6)
            assert extent.height / height == pytest.approx(dots, abs=1e-6)
            assert extent.x0 == pytest.approx(round(extent.x0), abs=1e-6)
            assert extent.y0 == pytest.approx(round(extent.y0), abs=1e-6)
