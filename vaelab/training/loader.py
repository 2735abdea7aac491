"""Loading of the images of each step, from memory, or from a disk that a thread reads ahead."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from vaelab.data.dataset import Dataset
from vaelab.data.stored import Images, Stored
from vaelab.system.memory import total_bytes
from vaelab.training.sampler import Sampler

SHARE = 0.25  # of the device's memory that training images may take
READ = 2 * 2**20  # bytes in a reading, or one batch if that is more
AHEAD = 2  # readings in advance of the one in use


class Loader(Protocol):
    """Returns the images of step t, uint8 [B, C, H, W], on the device: a function of t only, for any order of calls.

    `note` says where the images come from, or is "" if they were in memory already.
    """

    note: str

    def __call__(self, t: int) -> Tensor: ...

    def beside(self, sampler: Sampler) -> "Loader":
        """Return the loader of another run on the same images, which are held once."""
        ...

    def close(self) -> None: ...


def loader_of(train: Dataset, sampler: Sampler, device: torch.device) -> Loader:
    """Return a loader that holds the images in the device's memory if they take at most a quarter of it, or streams."""
    there = device.type == "cpu" and not isinstance(train.images, Stored)
    if there or train.images.nbytes <= SHARE * memory(device):
        read = isinstance(train.images, Stored)
        note = f"{_gigabytes(train.images)} of images read from disk into memory" if read else ""
        return Resident(torch.from_numpy(train.in_memory).to(device), sampler, note)
    return Streamed(train.images, sampler, device)


def memory(device: torch.device) -> int:
    """Return the bytes of memory of the device, or for a CPU those of this machine that this process may use."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return total_bytes()


class Resident:
    """Images in the device's memory."""

    def __init__(self, images: Tensor, sampler: Sampler, note: str = "") -> None:
        self.images, self.sampler, self.note = images, sampler, note

    def __call__(self, t: int) -> Tensor:
        return self.images[self.sampler(t).to(self.images.device)]

    def beside(self, sampler: Sampler) -> "Resident":
        return Resident(self.images, sampler)

    def close(self) -> None:
        """Do nothing: nothing is open."""


class Streamed:
    """Images that are copied to the device for their step; a thread reads those of the next steps.

    It reads those of several steps at once, because passing work to a thread takes as long as reading a small batch. An
    error of reading is raised when those images are requested.

    Arguments:
        images: uint8 [N, C, H, W], on disk, or in memory that is larger than the device's.
    """

    def __init__(self, images: Images, sampler: Sampler, device: torch.device) -> None:
        origin = "disk" if isinstance(images, Stored) else "memory"
        self.note = f"streaming {_gigabytes(images)} of images from {origin}: over {SHARE:.0%} of the {device}'s memory"
        self.images, self.sampler, self.device = images, sampler, device
        self.steps = max(1, READ * len(images) // (images.nbytes * len(sampler.part)))  # in a reading
        self.thread = ThreadPoolExecutor(1, "feed")
        self.readings: dict[int, Future[Tensor]] = {}
        self.current: tuple[int, Tensor] | None = None  # the reading in use, on the device

    def __call__(self, t: int) -> Tensor:
        k, place = divmod(t, self.steps)
        if self.current is None or self.current[0] != k:
            self._ask_for(range(k, k + 1 + AHEAD))
            images = self.readings[k].result().to(self.device, non_blocking=True)
            self.current = k, images.view(self.steps, len(self.sampler.part), *images.shape[1:])
        return self.current[1][place]

    def beside(self, sampler: Sampler) -> "Streamed":
        return Streamed(self.images, sampler, self.device)

    def _ask_for(self, wanted: range) -> None:
        for k in self.readings.keys() - set(wanted):
            self.readings.pop(k).cancel()
        for k in wanted:
            if k not in self.readings:
                # Here and not in the thread: two threads must not change the sampler's permutations
                indices = torch.cat([self.sampler(t) for t in range(k * self.steps, (k + 1) * self.steps)])
                self.readings[k] = self.thread.submit(self._read, indices.numpy())

    def _read(self, indices: np.ndarray) -> Tensor:
        images = torch.from_numpy(self.images[indices])
        return (
            images.pin_memory() if self.device.type == "cuda" else images
        )  # a copy is asynchronous from pinned memory

    def close(self) -> None:
        """Stop the thread."""
        self.thread.shutdown(cancel_futures=True)


def _gigabytes(images: Images) -> str:
    return f"{images.nbytes / 1e9:.3g} GB"
