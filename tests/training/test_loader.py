"""The feed: the same bits from disk as from memory, whatever is asked for and when, and no thread left behind."""

import os
import signal
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from vaelab.data import load_data
from vaelab.runs import evaluate as evaluating
from vaelab.runs.directory import Run
from vaelab.runs.spec import Spec
from vaelab.runs.train import train
from vaelab.system.errors import DataError, Interrupted
from vaelab.training import loader as feed
from vaelab.training.callback import Callback
from vaelab.training.loader import Resident, Streamed, loader_of, memory
from vaelab.training.sampler import Sampler

CPU = torch.device("cpu")
IMAGES = np.random.default_rng(0).integers(0, 256, (230, 3, 8, 8), np.uint8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    np.save(tmp_path / "images.npy", IMAGES)
    return tmp_path / "images.npy"


@pytest.fixture
def streaming(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "SHARE", 0.0)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("feed")]


@pytest.mark.parametrize("read", [1, 3 * 64 * 20 * 3, 2**20], ids=["a batch", "three batches", "more than there is"])
def test_a_batch_is_the_same_bits_from_disk_and_from_memory(path: Path, monkeypatch, read: int):
    """In order, backwards, twice and far away: batch t is the images at indices t, gathered from the array."""
    monkeypatch.setattr(feed, "READ", read)
    data = load_data(f"npy:{path}", validation=0).train
    batches = Sampler(len(data), 20, seed=5)
    streamed, resident = Streamed(data.images, batches, CPU), loader_of(data, batches, CPU)
    asked = [*range(25), 24, 3, 1000, 2, 2, 999, *range(12, 0, -1)]
    got = [streamed(t) for t in asked]  # kept, to see that no later one is written over them
    for t, batch in zip(asked, got, strict=True):
        plain = torch.from_numpy(data.images[:][Sampler(len(data), 20, seed=5)(t).numpy()])
        assert torch.equal(batch, plain)
        assert torch.equal(resident(t), plain)
        assert batch.dtype == torch.uint8
        assert batch.is_contiguous()
    streamed.close()
    assert not threads()


def test_the_thread_reads_ahead_of_what_is_asked_for(path: Path, monkeypatch):
    monkeypatch.setattr(feed, "READ", 1)
    data = load_data(f"npy:{path}", validation=0).train
    batches = Sampler(len(data), 20, seed=5)
    streamed = Streamed(data.images, batches, CPU)
    readers, original = [], streamed._read

    def read(indices: np.ndarray) -> torch.Tensor:
        readers.append(threading.current_thread().name)
        return original(indices)

    monkeypatch.setattr(streamed, "_read", read)
    for t in (7, 8, 8, 9):
        streamed(t)
    streamed.thread.submit(int).result()  # behind all that was asked for
    assert sorted(streamed.readings) == [9, 10, 11]
    assert readers == ["feed_0"] * 5  # 7 to 11, each once
    streamed.close()


def test_images_stay_where_they_are_by_their_size_alone(path: Path, monkeypatch):
    here = load_data("digits", validation=0).train
    there = load_data(f"npy:{path}", validation=0).train
    monkeypatch.setattr(feed, "memory", lambda device: 4 * there.images.nbytes)
    small = loader_of(there, Sampler(len(there), 20, 0), CPU)
    assert isinstance(small, Resident)
    assert small.note == "3.97e-05 GB of images read from disk into memory"
    monkeypatch.setattr(feed, "memory", lambda device: 4 * there.images.nbytes - 4)
    large = loader_of(there, Sampler(len(there), 20, 0), CPU)
    assert isinstance(large, Streamed)
    assert large.note == "streaming 3.97e-05 GB of images from disk: over 25% of the cpu's memory"
    monkeypatch.setattr(feed, "memory", lambda device: 0)
    resident = loader_of(here, Sampler(len(here), 20, 0), CPU)  # it is in memory already
    assert isinstance(resident, Resident)
    assert resident.note == ""
    assert resident.images.data_ptr() == here.in_memory.ctypes.data
    assert 2**28 < memory(CPU) < 2**50


SPEC = {"latent": 2, "network": "mlp:hidden=8", "likelihood": "gaussian:sigma=1", "batch": 20, "nll_samples": 2}


def trained(path: Path, out: Path, callback: Callback | None = None, **fields) -> Run:
    return train(Spec(data=f"npy:{path}", **{**SPEC, **fields}), out, compile="never", callback=callback)


def weights(run: Run) -> dict[str, torch.Tensor]:
    return run.model().state_dict()


def test_a_run_from_disk_is_the_run_from_memory(path: Path, tmp_path: Path, monkeypatch):
    """Weights and every number, with validation and evaluation; and interrupted and gone on with."""
    resident = trained(path, tmp_path / "resident", epochs=3)
    monkeypatch.setattr(feed, "SHARE", 0.0)
    said = []
    stop = Callback(say=said.append, show=lambda status: None)
    streamed = trained(path, tmp_path / "streamed", stop, epochs=3)
    assert any(line.startswith("streaming 3.") for line in said)
    assert all(torch.equal(a, weights(resident)[name]) for name, a in weights(streamed).items())
    numbers = [[metric.value for metric in run.metrics] for run in (resident, streamed)]
    assert numbers[0] == numbers[1]
    assert not threads()


def test_a_streamed_run_that_was_stopped_goes_on_as_if_it_was_not(path: Path, tmp_path: Path, streaming, monkeypatch):
    whole = trained(path, tmp_path / "whole", epochs=4)
    taken, original = [], Streamed.__call__

    def interrupted(self: Streamed, t: int) -> torch.Tensor:
        taken.append(t)
        if t == 13 and taken.count(13) == 1:
            signal.raise_signal(signal.SIGINT)
        return original(self, t)

    monkeypatch.setattr(Streamed, "__call__", interrupted)
    with pytest.raises(Interrupted):
        trained(path, tmp_path / "stopped", epochs=4)
    assert not threads()
    again = trained(path, tmp_path / "stopped", epochs=4)
    assert taken.count(14) == 1
    assert all(torch.equal(a, weights(whole)[name]) for name, a in weights(again).items())


def test_a_file_that_is_lost_ends_the_training_in_a_line_and_its_thread(
    path: Path, tmp_path: Path, streaming, monkeypatch
):
    monkeypatch.setattr(feed, "READ", 1)
    original = Streamed.__call__

    def lose(self: Streamed, t: int) -> torch.Tensor:
        if t == 5:
            path.write_bytes(path.read_bytes()[:5000])
        return original(self, t)

    monkeypatch.setattr(Streamed, "__call__", lose)
    with pytest.raises(DataError, match=r"images\.npy: 5,000 bytes now and not 44,288, while its images were in use"):
        trained(path, tmp_path / "run", epochs=50)
    assert not threads()


def test_an_error_or_a_second_interrupt_ends_the_thread(path: Path, tmp_path: Path, streaming, monkeypatch):
    original = Streamed.__call__
    for error in (KeyboardInterrupt, RuntimeError):

        def fail(self: Streamed, t: int, error=error) -> torch.Tensor:
            if t == 3:
                raise error
            return original(self, t)

        monkeypatch.setattr(Streamed, "__call__", fail)
        with pytest.raises(error):
            trained(path, tmp_path / error.__name__, epochs=50)
        assert not threads()


WITHIN = r"""
import re, resource, sys
from pathlib import Path
import numpy as np, torch
torch.set_num_threads(1)
from vaelab.runs.train import train
from vaelab.runs.spec import Spec
from vaelab.training import loader as feed

feed.SHARE = float(sys.argv[3])
common = dict(latent=2, network="mlp:hidden=8", likelihood="gaussian:sigma=1", batch=50, nll_samples=2, validation=100)
def run(path, **fields):
    return train(Spec(data=f"npy:{path}", **common, **fields), sys.argv[2], compile="never")
warm = Path(sys.argv[2], "warm.npy")
np.save(warm, np.random.default_rng(0).integers(0, 256, (1500, 3, 32, 32), np.uint8))
run(warm, epochs=1)  # what is imported and allocated once
used = int(re.search(r"VmData:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (used + 100 * 2**20,) * 2)
done = run(sys.argv[1], epochs=0.02)
print(done.result["data"]["train"]["images"], done.metric("nll").images)
"""


def test_loading_hashing_and_streaming_hold_a_part_of_the_images_at_a_time(tmp_path: Path, streaming):
    path, size = tmp_path / "large.npy", 40 * 2**20
    np.save(path, np.random.default_rng(1).integers(0, 256, (size // 3072, 3, 32, 32), np.uint8))
    tracemalloc.start()
    data = load_data(f"npy:{path}", protocol="binary-threshold")
    evaluating.refuse_seen(data.train, data.test)
    assert data.train.sha256
    assert data.train.some(50).in_memory.shape == (50, 3, 32, 32)
    streamed = loader_of(data.train, Sampler(len(data.train), 100, 0), CPU)
    for t in range(200):
        streamed(t)
    streamed.close()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 2**20 < peak < size / 3


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
@pytest.mark.parametrize("share", [0.0, 1.0], ids=["streamed", "read"])
def test_a_run_on_200_megabytes_needs_100_more_at_most(tmp_path: Path, share: float):
    """Loaded, split, hashed, trained on and measured under a limit on private memory, which a copy of them breaks."""
    path, random = tmp_path / "large.npy", np.random.default_rng(1)
    file = np.lib.format.open_memmap(path, "w+", np.uint8, (68_000, 3, 32, 32))
    for start in range(0, len(file), 4000):
        file[start : start + 4000] = random.integers(0, 256, (4000, 3, 32, 32), np.uint8)
    file.flush()
    command = [sys.executable, "-c", WITHIN, str(path), str(tmp_path), str(share)]
    # Large pieces are given back as they are freed: what counts is memory in use, not what the allocator keeps.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "100000"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if share:
        assert "ArrayMemoryError" in done.stderr
    else:
        assert done.stdout.split() == ["61100", "6800"], done.stderr


@pytest.mark.gpu
def test_batches_on_a_gpu_are_those_of_memory(path: Path):
    cuda = torch.device("cuda")
    data = load_data(f"npy:{path}", validation=0).train
    batches = Sampler(len(data), 20, seed=5)
    streamed, resident = Streamed(data.images, batches, cuda), loader_of(data, batches, cuda)
    for t in (*range(40), 3, 1000):
        assert torch.equal(streamed(t), resident(t))
    streamed.close()
