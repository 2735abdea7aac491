"""`vaelab presets`."""


def presets() -> None:
    """List the models of the literature that can be trained.

    `vaelab train --preset NAME` trains one of them.
    """
    from vaelab.cli import terminal
    from vaelab.runs.presets import PRESETS

    rows = [
        {
            "preset": name,
            "parts": "  ".join(f"{k}={v}" for k, v in entry.fields.items()) or "the defaults of `vaelab train`",
            "source": entry.source,
        }
        for name, entry in PRESETS.items()
    ]
    terminal.print_records("models of the literature", rows)
