"""Charts of a report as SVG inside the page: each mark says its numbers, and names its run."""

from vaelab.reports.charts.codes import codes as codes
from vaelab.reports.charts.curves import learning_curves as learning_curves
from vaelab.reports.charts.gaps import gap_charts as gap_charts
from vaelab.reports.charts.plane import error_against_latent as error_against_latent
from vaelab.reports.charts.plane import rate_against_distortion as rate_against_distortion
