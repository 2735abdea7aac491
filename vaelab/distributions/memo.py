import torch
from torch import Tensor


class DrawMemo:
    """The last draw of a distribution and its log-density, for a density that is found on the way to the draw."""

    def __init__(self) -> None:
        self._last: tuple[Tensor, Tensor] | None = None

    def keep(self, z: Tensor, log_p: Tensor) -> None:
        """Remember the draw z [..., D] and its log-density [...], in the place of the last."""
        self._last = z, log_p

    def log_prob(self, value: Tensor) -> Tensor | None:
        """The log-density of `value` if it is the very tensor that was drawn; otherwise None.

        None too where a gradient is wanted and the draw was made without one.
        """
        if self._last is None or value is not self._last[0]:
            return None
        log_p = self._last[1]
        return log_p if log_p.requires_grad or not torch.is_grad_enabled() else None
