"""`vaelab parts`."""


def parts() -> None:
    """List the parts and metrics, with their options.

    A part is a value of a flag of `vaelab train`; a metric is a value of `vaelab evaluate --metrics`.
    """
    from vaelab.cli import terminal
    from vaelab.evaluation.measures import METRICS
    from vaelab.parts.names import describe
    from vaelab.runs.blueprint import TABLES

    for kind, table in {**TABLES, "metric": METRICS}.items():
        terminal.print_records(kind, describe(kind, table))
