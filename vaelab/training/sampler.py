import torch
from torch import Tensor

from vaelab.randomness.seeds import derive


def lowered(asked: int, count: int) -> str:
    """Return a message if the batch is larger than the number of training images, otherwise ""."""
    return f"batch = {asked}: each step takes all {count} training images, because there are no more" * (asked > count)


class Sampler:
    """Returns the images of batch t, a function of (seed, t) only: nothing to save, and nothing to skip on resuming.

    Epoch e visits the images in permutation e. The permutations follow each other without a gap, and batch t is the
    t-th part of that sequence. So every batch is full and every epoch visits each image once.

    Arguments:
        count: N, images in the training set.
        batch: B, images in a batch, at most N.
        seed: of the permutations.
        part: the places in each batch that are returned; None: all.
    """

    def __init__(self, count: int, batch: int, seed: int, part: range | None = None) -> None:
        assert batch <= count
        self.count, self.batch, self.seed = count, batch, seed
        self.part = range(batch) if part is None else part
        self._permutations: dict[int, Tensor] = {}

    def __call__(self, step: int) -> Tensor:
        """Return the indices of the images of `part` of batch `step`, [B] for a whole batch."""
        epoch, start = divmod(step * self.batch, self.count)
        head = self._permutation(epoch)[start : start + self.batch]
        missing = self.batch - len(head)
        whole = head if missing == 0 else torch.cat([head, self._permutation(epoch + 1)[:missing]])
        return whole[self.part.start : self.part.stop]

    def _permutation(self, epoch: int) -> Tensor:
        if epoch not in self._permutations:
            generator = torch.Generator().manual_seed(derive(self.seed, "order", epoch))
            recent = {e: p for e, p in self._permutations.items() if e >= epoch - 1}
            self._permutations = {**recent, epoch: torch.randperm(self.count, generator=generator)}
        return self._permutations[epoch]
