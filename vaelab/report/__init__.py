"""A study's report: what was measured, beside what the article says."""

from vaelab.report.check import check_report as check_report
from vaelab.report.measured import published_numbers as published_numbers
from vaelab.report.write import write_report as write_report
