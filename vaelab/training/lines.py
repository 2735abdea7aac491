"""Progress of training in plain lines of text."""

import sys
import time
from collections.abc import Callable

from vaelab.system.errors import in_print
from vaelab.training.callback import SILENT, Callback, Status

TELL_SECONDS = 10.0  # between two lines of a long measurement
LINE_EVERY = 20  # approximate number of plain lines for a whole training run


def default_callback() -> Callback:
    """Return the default Callback: it prints lines in a terminal or a notebook, and nothing elsewhere.

    So a script, a test or a worker whose output goes to a file prints only what it asks for.
    """
    notebook = type(sys.stdout).__module__.startswith("ipykernel")
    terminal = sys.stdout is not None and sys.stdout.isatty()
    return lines(lambda line: print(in_print(line), flush=True)) if notebook or terminal else SILENT


def lines(say: Callable[[str], None], text: Callable[[Status], str] | None = None) -> Callback:
    """Return a Callback that passes lines of text to `say`: messages, and the progress about twenty times.

    Arguments:
        text: converts a Status to text; by default `summary`, and the criterion on the validation images.
    """
    shown = [0.0]

    def show(status: Status) -> None:
        done = status.step / status.steps
        shown[0] = min(shown[0], done)  # another run has started
        if status.row is not None and (done - shown[0] >= 1 / LINE_EVERY or status.step == status.steps):
            shown[0] = done
            say(text(status) if text else summary(status) + held_out(status))

    return Callback(say=say, show=show, measured=measured_lines(say))


def measured_lines(say: Callable[[str], None]) -> Callable[[str, float], None]:
    """Return a function of (measure, completed proportion) that passes a line to `say` every ten seconds at most."""
    began = dict[str, float]()

    def measured(measure: str, share: float) -> None:
        now = time.monotonic()
        last = began.setdefault(measure, now)
        if share >= 1:
            began.pop(measure)
        elif now - last > TELL_SECONDS:
            began[measure] = now
            say(measuring(measure, share))

    return measured


def measuring(measure: str, share: float) -> str:
    """Return "measuring likelihood 40 %"."""
    return f"measuring {measure} {100 * share:.0f} %"


def in_brief(status: Status) -> str:
    """Return the progress of one of many runs: epoch, -ELBO, time left."""
    left = f"  {duration(status.seconds_left)} left" if status.step < status.steps else ""
    return f"{_epoch(status)}  -ELBO {_nats(-status.terms['elbo'])} nats{left}"


def summary(status: Status) -> str:
    """Return the progress of a run in one line: epoch, speed, -ELBO and its terms, time left."""
    terms, vmapped = status.terms, (status, *status.beside)
    pace = f"{len(vmapped)} runs" if status.beside else f"{_count(status.images_per_second)} images/s"
    elbo = _range([-each.terms["elbo"] for each in vmapped])
    parts = "" if status.beside else f"  rate {_nats(terms['rate'])}  distortion {_nats(terms['distortion'])}"
    return f"{_epoch(status)}  {pace}  -ELBO {elbo}{parts} nats" + (
        f"  {duration(status.seconds_left)} left" if status.step < status.steps else ""
    )


def _epoch(status: Status) -> str:
    """Return "epoch 2.5/3". The last step may begin a batch beyond the last epoch, which is not said."""
    return f"epoch {min(status.epoch, status.epochs):.1f}/{status.epochs:g}"


def held_out(status: Status) -> str:
    """Return the criterion on the validation images, to follow `summary`; empty if there was no validation."""
    rows = [each.row for each in (status, *status.beside) if each.row and "validation" in each.row]
    if not rows:
        return ""
    waits = "" if rows[0]["judged"] else "; not judged yet: its schedule moves"
    return f"  validation {_range([row['validation']['loss'] for row in rows])} ({rows[0]['criterion']}{waits})"


def _range(values: list[float]) -> str:
    """Return the smallest and the largest number of nats, in this order."""
    return " to ".join(dict.fromkeys(map(_nats, (min(values), max(values)))))


def _nats(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 1000 else f"{value:,.0f}"


def _count(number: float) -> str:
    return f"{number / 1000:.1f}k" if number >= 1000 else f"{number:.0f}"


def duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
