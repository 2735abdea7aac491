import torch
from torch import Tensor

from vaelab.randomness.seeds import derive


def lowered(asked: int, count: int) -> str:
    """What must be said where a batch of so many was asked for and there are only `count` training images; or ""."""
    return f"batch = {asked}: each step takes all {count} training images, for there are no more" * (asked > count)


class Sampler:
    """Which images make batch t, a pure function of (seed, t): nothing to save, nothing to skip on resuming.

    Epoch e visits the images in permutation e. The permutations follow each other without a gap and batch t is the
    t-th piece of that sequence, so every batch is full and every epoch sees each image once.

    Arguments:
        count: N, images in the training set.
        batch: B, images in a batch, at most N.
        seed: of the permutations.
    """

    def __init__(self, count: int, batch: int, seed: int) -> None:
        assert batch <= count
        self.count, self.batch, self.seed = count, batch, seed
        self._permutations: dict[int, Tensor] = {}

    def __call__(self, step: int) -> Tensor:
        """Indices of the images of batch `step`, [B]."""
        epoch, start = divmod(step * self.batch, self.count)
        head = self._permutation(epoch)[start : start + self.batch]
        missing = self.batch - len(head)
        return head if missing == 0 else torch.cat([head, self._permutation(epoch + 1)[:missing]])

    def _permutation(self, epoch: int) -> Tensor:
        if epoch not in self._permutations:
            generator = torch.Generator().manual_seed(derive(self.seed, "order", epoch))
            recent = {e: p for e, p in self._permutations.items() if e >= epoch - 1}
            self._permutations = {**recent, epoch: torch.randperm(self.count, generator=generator)}
        return self._permutations[epoch]
