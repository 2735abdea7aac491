"""What a conditional model is told beside x and z: labels, each as a one-hot code."""

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from vaelab.system.errors import SpecError, unknown

SHOWN = 10  # labels that an error names

T = TypeVar("T", np.ndarray, Tensor)


class Labels(nn.Module):
    """p(y), y one of the K labels of the training images, each as probable as it is frequent among them.

    Arguments:
        of: whole numbers [N], one for each training image.
        names: of the classes, by their labels; those without one go by their label.
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
        """Labels [...] as whole numbers, a tensor beside `classes`.

        Arguments:
            labels: whole numbers or names of classes, one or an array of any shape.

        Raises:
            SpecError: no labels at all, or one that no training image had.
        """
        if isinstance(labels, str | list | tuple | np.ndarray) and (array := np.asarray(labels)).dtype.kind == "U":
            numbers = [self._number(name) for name in array.flat]
            labels = np.array(numbers, np.int64).reshape(array.shape)
        if labels is None:
            found, expected = "images without labels", "a label for each: the model is told of them"
            raise SpecError(found=found, expected=expected, do="give it data with labels")
        y = torch.as_tensor(labels, device=self.classes.device)
        if not (among := torch.isin(y, self.classes)).all():
            shown = map(self.name, self.classes[:SHOWN].tolist())
            named = ", ".join(shown) + (", ..." if len(self) > SHOWN else "")
            raise SpecError(
                found=f"label {self.name(y[~among].flatten()[0].item())}",
                expected=f"one of the training images: {named}",
                do="leave out the images that have it",
            )
        return y

    def name(self, label: Any) -> str:
        """What the class of this label, a number, is called; the label itself where it has no name."""
        return self.names.get(label, str(label))

    def _number(self, name: str) -> int:
        """The label of the class of this name; SpecError where none has it."""
        numbers = {self.name(label): label for label in self.classes.tolist()}
        if name not in numbers:
            raise unknown("label", name, numbers)
        return numbers[name]

    def one_hot(self, y: Tensor) -> Tensor:
        """The one-hot codes of `known` labels y [...], bool [..., K]."""
        return y.unsqueeze(-1) == self.classes

    def draw(self, n: int) -> Tensor:
        """The codes of n labels y ~ p(y), bool [n, K]."""
        return self.one_hot(self.classes[torch.multinomial(self.shares, n, replacement=True)])

    def commonest(self, n: int) -> Tensor:
        """The n labels that are most frequent, all where there are no more, in ascending order."""
        return self.classes[self.shares.argsort(descending=True, stable=True)[:n].sort().values]


def rows(values: T | None, at: Any) -> T | None:
    """Labels or codes at these places of theirs; none of none."""
    return None if values is None else values[at]
