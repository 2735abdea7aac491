"""What every test shares: one thread, so that tests do not fight for the processors, and signals that arrive."""

import os
import signal

import pytest
import torch

torch.set_num_threads(1)
for name in ("SIGINT", "SIGHUP"):  # started in the background or behind nohup, the tests' processes would ignore them
    if signal.getsignal(number := getattr(signal, name, signal.SIGINT)) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL)


@pytest.fixture
def real_data() -> str:
    """Where the real MNIST and SVHN lie."""
    root = os.environ.get("VAELAB_DATA", "../shared/data")
    if not os.path.isdir(os.path.join(root, "mnist")):
        pytest.skip("real data not found: set VAELAB_DATA")
    return root
