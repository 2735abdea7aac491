"""A study's report: what was measured, beside what the article says."""

from vaelab.reports.check import check_report as check_report
from vaelab.reports.measured import published_numbers as published_numbers
from vaelab.reports.write import write_report as write_report
