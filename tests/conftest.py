"""What every test shares: one thread, so that tests do not fight for the processors, and signals that arrive."""

import os
import shutil
import signal
from pathlib import Path

import pytest
import torch

import vaelab as vl
from vaelab.runs.directory import Run

pytest_plugins = ["tests.thorough", "tests.browser", "pytester"]

TINY = vl.Spec(data="digits", latent=2, network="mlp:hidden=4", epochs=0.2, nll_samples=2)

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


@pytest.fixture(scope="session")
def done(tmp_path_factory) -> Run:
    return vl.train(TINY, tmp_path_factory.mktemp("runs"), "run", compile="never", callback=vl.SILENT)


@pytest.fixture
def run(done, tmp_path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(done.path, tmp_path / "runs" / "run"))
