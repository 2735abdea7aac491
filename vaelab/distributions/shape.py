"""Shapes of draws, as `torch.distributions` take them."""

import torch
from torch.distributions import Distribution

SampleShape = torch.Size | list[int] | tuple[int, ...]


def drawn_shape(p: Distribution, sample_shape: SampleShape) -> torch.Size:
    """The shape of draws from `p`: (*sample_shape, *batch_shape, *event_shape)."""
    return torch.Size((*sample_shape, *p.batch_shape, *p.event_shape))
