"""Labels that a conditional model is conditioned on, as one-hot vectors."""

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from vaelab.system.errors import SpecError, unknown

SHOWN = 10  # maximum number of labels in an error

T = TypeVar("T", np.ndarray, Tensor)


class Labels(nn.Module):
    """p(y) for the K labels y of the training images, with their frequencies as probabilities.

    Arguments:
        of: whole numbers [N], one for each training image.
        names: names of the classes, by label; a class without a name is called by its label.
    """

    classes: Tensor  # [K], in ascending order
    shares: Tensor  # [K]

    def __init__(self, of: np.ndarray, names: Mapping[int, str] | None = None) -> None:
        super().__init__()
        self.names = dict(names or {})
        classes, counts = np.unique(of, return_counts=True)
        self.register_buffer("classes", torch.from_numpy(classes))
        self.register_buffer("shares", torch.from_numpy(counts / len(of)).float())

    def __len__(self) -> int:
        return len(self.classes)

    def extra_repr(self) -> str:
        return f"{len(self)}"

    def known(self, labels: Any) -> Tensor:
        """Return labels [...] as whole numbers, in a tensor on the device of `classes`.

        Arguments:
            labels: whole numbers or names of classes, one or an array of any shape.

        Raises:
            SpecError: there are no labels, or one that no training image had.
        """
        if isinstance(labels, str | list | tuple | np.ndarray) and (array := np.asarray(labels)).dtype.kind == "U":
            numbers = [self._number(name) for name in array.flat]
            labels = np.array(numbers, np.int64).reshape(array.shape)
        if labels is None:
            found, expected = (
                "images without labels",
                "a label for each image, because the model is conditioned on labels",
            )
            raise SpecError(found=found, expected=expected, do="use data with labels")
        y = torch.as_tensor(labels, device=self.classes.device)
        if not (among := torch.isin(y, self.classes)).all():
            shown = map(self.name, self.classes[:SHOWN].tolist())
            named = ", ".join(shown) + (", ..." if len(self) > SHOWN else "")
            raise SpecError(
                found=f"label {self.name(y[~among].flatten()[0].item())}",
                expected=f"a label of the training images: {named}",
                do="remove the images with this label",
            )
        return y

    def name(self, label: Any) -> str:
        """Return the name of the class with this label, or the label itself if it has no name."""
        return self.names.get(label, str(label))

    def _number(self, name: str) -> int:
        """Return the label of the class with this name; raise SpecError if there is none."""
        numbers = {self.name(label): label for label in self.classes.tolist()}
        if name not in numbers:
            raise unknown("label", name, numbers)
        return numbers[name]

    def one_hot(self, y: Tensor) -> Tensor:
        """Return the one-hot form of `known` labels y [...], bool [..., K]."""
        return y.unsqueeze(-1) == self.classes

    def draw(self, n: int) -> Tensor:
        """Draw n labels y ~ p(y) and return their one-hot form, bool [n, K]."""
        return self.one_hot(self.classes[torch.multinomial(self.shares, n, replacement=True)])

    def commonest(self, n: int) -> Tensor:
        """Return the n most frequent labels, or all if there are fewer, in ascending order."""
        return self.classes[self.shares.argsort(descending=True, stable=True)[:n].sort().values]


def rows(values: T | None, at: Any) -> T | None:
    """Return the labels or one-hot labels at these indices; None for None."""
    return None if values is None else values[at]
