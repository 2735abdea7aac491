"""Images: sources by name, splits, and the protocol that turns stored levels into pixel values."""

from vaelab.data.dataset import Contents, Dataset, Splits, raw
from vaelab.data.protocol import PROTOCOLS, Protocol, with_protocol
from vaelab.data.sources import SOURCES, load_data

__all__ = ["PROTOCOLS", "SOURCES", "Contents", "Dataset", "Protocol", "Splits", "load_data", "raw", "with_protocol"]
