"""Stopping between two steps, never within a step."""

import errno
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

from vaelab.training.callback import Callback

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Ctrl-C, a request to stop, a closed terminal; Windows has no SIGHUP
TELL_SECONDS = 1.5  # after this, say what is awaited: the first step takes long while it is compiled

T = TypeVar("T")


@contextmanager
def stop_signals(say: Callable[[str], None]) -> Iterator[threading.Event]:
    """Yield an event that SIGINT, SIGTERM or SIGHUP sets; a second signal stops at once.

    A signal that this process was started to ignore stays ignored, as SIGHUP does after `nohup`.

    Arguments:
        say: is called with what is awaited, if it takes long.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield stop
        return
    over = threading.Event()

    def tell() -> None:
        stop.wait()
        if not over.wait(TELL_SECONDS):
            say("stopping once this step, or the compiler, is done and the state is saved; Ctrl-C again stops at once")

    asked: list[int] = []  # signals so far; `stop` cannot count them, because a closed pipe sets it too

    def handle(number: int, frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        stop.set()

    named = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
    numbers = [number for number in named if signal.getsignal(number) is not signal.SIG_IGN]
    threading.Thread(target=tell, daemon=True).start()
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield stop
    finally:
        over.set()
        stop.set()  # so that the thread ends
        for number, handler in before.items():
            signal.signal(number, handler)


def guarded(callback: Callback, stop: threading.Event) -> Callback:
    """Return `callback`, but if its pipe or terminal is closed, set `stop` instead of raising."""
    return replace(callback, say=_guarded(callback.say, stop), show=_guarded(callback.show, stop))


def _guarded(tell: Callable[[T], None], stop: threading.Event) -> Callable[[T], None]:
    def guarded_tell(what: T) -> None:
        try:
            tell(what)
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EIO):
                raise
            stop.set()

    return guarded_tell
