"""A study's report: the measurements of its runs, compared with the claims of articles and papers."""

from vaelab.reports.check import check_report as check_report
from vaelab.reports.measured import published_numbers as published_numbers
from vaelab.reports.write import write_report as write_report
