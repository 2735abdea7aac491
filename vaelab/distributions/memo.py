import torch
from torch import Tensor


class DrawMemo:
    """The last draw of a distribution and its log-density, if drawing also computes the density."""

    def __init__(self) -> None:
        self._last: tuple[Tensor, Tensor] | None = None

    def keep(self, z: Tensor, log_p: Tensor) -> None:
        """Store the draw z [..., D] and its log-density [...], and forget the previous draw."""
        self._last = z, log_p

    def log_prob(self, value: Tensor) -> Tensor | None:
        """Return the log-density of `value` if it is the same tensor object as the draw, otherwise None.

        It is also None if gradients are on and the draw was made without them.
        """
        if self._last is None or value is not self._last[0]:
            return None
        log_p = self._last[1]
        return log_p if log_p.requires_grad or not torch.is_grad_enabled() else None
