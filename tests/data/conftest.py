import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from vaelab.system.errors import VaelabError


@contextmanager
def _refused(error: type[VaelabError], *words: object) -> Iterator[None]:
    """The block raises exactly this error, told in one line of three parts that contains every word."""
    with pytest.raises(error) as caught:
        yield
    message = str(caught.value)
    assert type(caught.value) is error
    assert "\n" not in message
    for part in (caught.value.found, caught.value.expected, caught.value.do):
        assert part
        assert part in message
    for word in words:
        assert str(word) in message


@pytest.fixture
def refused() -> Callable[..., AbstractContextManager[None]]:
    return _refused


class Trap:
    """An object whose unpickling leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


@pytest.fixture
def trap(tmp_path: Path) -> Trap:
    return Trap(tmp_path / "unpickled")


@pytest.fixture(autouse=True)
def empty_places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test finds data, or leaves any, outside its own folder; `real` is the one that looks."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("VAELAB_DATA", raising=False)


_PLACES = [Path(os.environ.get("VAELAB_DATA", "/nowhere")), Path(__file__).parents[3] / "shared" / "data"]


@pytest.fixture
def real() -> Path:
    """The folder of real data, where there is one."""
    place = next((place for place in _PLACES if (place / "mnist").is_dir()), None)
    if place is None:
        pytest.skip("no real data: neither $VAELAB_DATA nor shared/data beside the checkout")
    return place
