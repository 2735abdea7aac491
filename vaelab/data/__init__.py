"""Images: sources by name, splits, and the protocol that turns stored levels into pixel values."""

from vaelab.data.dataset import Dataset, Splits
from vaelab.data.protocol import PROTOCOLS, Protocol, with_protocol
from vaelab.data.sources import SOURCES, Source, load

__all__ = ["PROTOCOLS", "SOURCES", "Dataset", "Protocol", "Source", "Splits", "load", "with_protocol"]
