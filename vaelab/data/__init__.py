"""Images: sources by name, splits, and the protocol that turns stored levels into pixel values.

The names are imported when they are first asked for: a process that only decodes images needs none of them, nor torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vaelab.data.dataset import Contents, Dataset, Splits, raw
    from vaelab.data.protocol import PROTOCOLS, Protocol, with_protocol
    from vaelab.data.sources import SOURCES, load_data

_HOMES = {
    "Contents": "vaelab.data.dataset",
    "Dataset": "vaelab.data.dataset",
    "PROTOCOLS": "vaelab.data.protocol",
    "Protocol": "vaelab.data.protocol",
    "SOURCES": "vaelab.data.sources",
    "Splits": "vaelab.data.dataset",
    "load_data": "vaelab.data.sources",
    "raw": "vaelab.data.dataset",
    "with_protocol": "vaelab.data.protocol",
}

__all__ = ["PROTOCOLS", "SOURCES", "Contents", "Dataset", "Protocol", "Splits", "load_data", "raw", "with_protocol"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vaelab.data' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)
