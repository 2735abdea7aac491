"""The division of images into those that are trained on and those that are held out."""

import numpy as np

from vaelab.data.dataset import Dataset
from vaelab.system.errors import SpecError


def validation_count(total: int, validation: float) -> int:
    """Return how many of `total` training images are held out for validation.

    Arguments:
        validation: 0 for none; below 1, a share of the images; otherwise the number of images.

    Raises:
        SpecError: `validation` is negative, or a number of images that is not whole, or no training image is left.
    """
    if not validation >= 0 or (validation >= 1 and not float(validation).is_integer()):
        raise SpecError(
            found=f"validation = {validation}",
            expected="0, a proportion between 0 and 1, or a whole number of images",
            do="choose one of these",
        )
    return held_out("validation", total, validation) if validation else 0


def held_out(name: str, total: int, wanted: float) -> int:
    """Return how many of `total` training images are held out: a share below 1, but one or more; or the number itself.

    Arguments:
        name: the option that says so.

    Raises:
        SpecError: no training image is left.
    """
    count = int(wanted) if wanted >= 1 else max(1, round(wanted * total))
    if count >= total:
        raise SpecError(
            found=f"{name} = {wanted} takes {count:,} of {total:,} training images",
            expected="one training image or more",
            do=f"lower {name}, or use more data",
        )
    return count


def split_off(data: Dataset, count: int, seed: int, split: str, stratify: bool = False) -> tuple[Dataset, Dataset]:
    """Divide `data` at random into the rest and `count` images named `split`, each in the order of the source.

    A pure function of the number of images, `count`, `seed` and, with `stratify`, the labels. It does not depend on
    the pixels.

    Arguments:
        stratify: whether each class gives images in proportion to its number, rounded so that the sum is `count`. Each
            class keeps one image or more.

    Raises:
        SpecError: with `stratify`, there are no labels, or the classes are too small.
    """
    assert 0 < count < len(data)
    order = np.random.default_rng(seed).permutation(len(data))
    if stratify:
        order = _in_proportion(data, count, order, split)
    return data.take(np.sort(order[count:])), data.take(np.sort(order[:count]), split)


def _in_proportion(data: Dataset, count: int, order: np.ndarray, split: str) -> np.ndarray:
    """`order` changed so that its first `count` images have the classes in proportion."""
    if data.labels is None:
        raise SpecError(
            found=f"stratify with the images of {data.name}, which have no labels",
            expected="a label for each image",
            do="leave it out, or use data with labels",
        )
    classes, sizes = np.unique(data.labels, return_counts=True)
    numbers, remainders = count * sizes // len(data), count * sizes % len(data)
    roomy = [at for at in np.argsort(-remainders, kind="stable") if numbers[at] < sizes[at] - 1]
    missing = count - numbers.sum()
    if missing > len(roomy):
        raise SpecError(
            found=f"stratify with {count:,} {split} images out of {len(classes):,} classes, "
            f"the smallest of {sizes.min():,} images",
            expected="classes that each keep one training image or more",
            do="hold out fewer images, leave stratify out, or add images to the small classes",
        )
    numbers[roomy[:missing]] += 1
    chosen = np.concatenate([order[data.labels[order] == label][:n] for label, n in zip(classes, numbers, strict=True)])
    return np.concatenate([chosen, order[~np.isin(order, chosen)]])
