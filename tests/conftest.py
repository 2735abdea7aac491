"""What every test shares: one thread, so that tests beside each other do not fight for the processors."""

import os

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture
def real_data() -> str:
    """Where the real MNIST and SVHN lie."""
    root = os.environ.get("VAELAB_DATA", "../shared/data")
    if not os.path.isdir(os.path.join(root, "mnist")):
        pytest.skip("real data not found: set VAELAB_DATA")
    return root
