"""The 8 x 8 digits inside scikit-learn: 1,797 real images that need no file."""

import numpy as np

from vaelab.data.dataset import Contents, raw


def read() -> Contents:
    """Read the digits as levels 0 to 255 (the source has 0 to 16), labels 0 to 9. There is no official test split.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998.
    """
    from sklearn.datasets import load_digits

    counts, labels = load_digits(return_X_y=True)
    levels = np.round(counts * 255 / 16).astype(np.uint8)
    return Contents(raw("digits", levels.reshape(-1, 1, 8, 8), labels))
