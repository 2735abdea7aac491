"""SVHN Format 2 (cropped digits), as published: MATLAB v5, X [32, 32, 3, N] uint8, y [N, 1], digit 0 labelled 10.

Source: Y. Netzer et al., Reading Digits in Natural Images with Unsupervised Feature Learning, NIPS workshop, 2011.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from vaelab.data.dataset import Contents, Raw, raw
from vaelab.data.formats import mat
from vaelab.system.errors import DataError

BLOCK = 256  # images that are turned at a time, within a processor's cache
FILES = ("train_32x32.mat", "test_32x32.mat")


def read(where: str) -> Contents:
    """Training and test images of a directory with the two official names (see `FILES`).

    Raises:
        DataError: a file is missing, damaged, or not in the official layout.
    """
    with ThreadPoolExecutor() as both:  # most of it is decompression, which holds no lock of Python's
        train, test = both.map(matlab, [Path(where) / name for name in FILES])
    return Contents(train, test=test)


def matlab(path: Path) -> Raw:
    """The images uint8 [N, 3, 32, 32] and labels 0 to 9 of one file.

    Raises:
        DataError: the file is missing, damaged, or not in the official layout.
    """
    variables = mat.read(path)
    if not {"X", "y"} <= variables.keys():
        raise DataError(
            found=f"{path}: numeric arrays {', '.join(variables) or '(none)'}",
            expected="X (images) and y (labels)",
            do="use the cropped digits, Format 2",
        )
    images, labels = variables["X"], variables["y"]
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[:3] != (32, 32, 3):
        raise DataError(
            found=f"{path}: X is {images.dtype} of shape {images.shape}",
            expected="uint8 of shape (32, 32, 3, N)",
            do="use the cropped digits, Format 2",
        )
    known = np.isin(labels, range(1, 11))
    if not known.all():
        raise DataError(
            found=f"{path}: label {labels[~known][0]} in y",
            expected="labels 1 to 10, where 10 is the digit 0",
            do="use the official labels",
        )
    # MATLAB counts rows fastest: reversing the axes is free and gives [N, 3, column, row]. The last two change places
    # where they are: memory that was never used before costs more time than the work that is done in it.
    images = images.T
    for start in range(0, len(images), BLOCK):
        block = images[start : start + BLOCK]
        block[:] = block.swapaxes(2, 3).copy()
    return raw(path, images, (labels[:, 0] if labels.shape[1:] == (1,) else labels) % 10)
