"""Read SVHN Format 2 (cropped digits), as published: MATLAB v5, X [32, 32, 3, N] uint8, y [N, 1]; the digit 0 is 10.

Source: Y. Netzer et al., Reading Digits in Natural Images with Unsupervised Feature Learning, NIPS workshop, 2011.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from vaelab.data.dataset import Contents, Raw, raw
from vaelab.data.formats import mat
from vaelab.system.errors import DataError

BLOCK = 256  # images that are transposed at a time; they fit into a processor's cache
FILES = ("train_32x32.mat", "test_32x32.mat")


def read(where: str) -> Contents:
    """Read the training and test images of a directory with the two official file names (see `FILES`).

    Raises:
        DataError: a file is missing, damaged, or not in the official layout.
    """
    with ThreadPoolExecutor() as both:  # most of the work is decompression, which releases Python's global lock
        train, test = both.map(matlab, [Path(where) / name for name in FILES])
    return Contents(train, test=test)


def matlab(path: Path) -> Raw:
    """Read the images uint8 [N, 3, 32, 32] and labels 0 to 9 of one file.

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
    # In MATLAB the first index is fastest, so reversing the axes copies nothing and gives [N, 3, column, row]. The last
    # two axes are swapped in place, because new memory would cost more time than the swap.
    images = images.T
    for start in range(0, len(images), BLOCK):
        block = images[start : start + BLOCK]
        block[:] = block.swapaxes(2, 3).copy()
    return raw(path, images, (labels[:, 0] if labels.shape[1:] == (1,) else labels) % 10)
