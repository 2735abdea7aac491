"""Several processes that work together on one command, started by a launcher such as torchrun.

Each process is a worker. Without a launcher there is one worker, and nothing of torch.distributed is imported.
"""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import torch
from torch import Tensor

from vaelab.system.errors import Interrupted, RunError, VaelabError

Reduce = Literal["ordered", "fast"]

JOIN_SECONDS = 120  # a worker waits this long for the others to start
WAIT_SECONDS = 600  # and this long for another one that does not answer; the end of a process is noticed at once
LINGER_SECONDS = 2  # the first worker may hold what the others look at, to know whether an error was reported
VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")  # what a launcher sets
BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # integers of as many bytes


@dataclass(frozen=True)
class World:
    """The place of this worker among all of them, and what they exchange.

    Every worker must call the same methods in the same order. With one worker a method changes nothing.

    Arguments:
        rank: the number of this worker, from 0.
        size: the number of workers.
        local_rank: the number of this worker on its machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def leads(self) -> bool:
        """Whether this worker writes the files and prints the lines."""
        return self.rank == 0

    def part(self, count: int) -> range:
        """The part of `count` things that is this worker's; `count` is a multiple of the number of workers."""
        own = count // self.size
        return range(self.rank * own, (self.rank + 1) * own)

    def texts(self, text: str) -> list[str]:
        """Return the text of every worker, in the order of their ranks."""
        if self.size == 1:
            return [text]
        own = torch.tensor(list(text.encode()), dtype=torch.uint8)
        lengths = torch.cat(self._gathered(torch.tensor([len(own)])))
        padded = torch.zeros(int(lengths.max()), dtype=torch.uint8)
        padded[: len(own)] = own
        found = zip(self._gathered(padded), lengths.tolist(), strict=True)
        return [bytes(row[:length].tolist()).decode() for row, length in found]

    def from_leader(self, text: str) -> str:
        """Return the text of the worker that leads."""
        return self.texts(text)[0]

    @contextmanager
    def one_of_each_machine_first(self) -> Iterator[None]:
        """Let the first worker of each machine do the work of this context, and then the others."""
        if self.local_rank:
            self.texts("")
        yield
        if not self.local_rank:
            self.texts("")

    def sum(self, numbers: Tensor, reduce: Reduce) -> None:
        """Replace numbers [n] by their sum over all workers, in place.

        Arguments:
            reduce: `ordered`: as a tree of pairs, in the order of the ranks, which rounds in the same way on each
                machine. Each worker sums one part of the numbers, and sends the result to all: every number is sent
                twice, as in a ring. `fast`: in any order, as the library prefers.
        """
        if self.size == 1:
            return
        import torch.distributed as dist

        with _answered(self.size):
            if reduce == "fast":
                dist.all_reduce(numbers)
                return
            pieces = numbers.new_zeros(self.size, -(-len(numbers) // self.size))
            pieces.view(-1)[: len(numbers)] = numbers
            received = torch.empty_like(pieces)
            dist.all_to_all_single(received, pieces)
            dist.all_gather(list(pieces.unbind()), tree_sum(received.unbind()))
            numbers.copy_(pieces.view(-1)[: len(numbers)])

    def completed(self, columns: Mapping[str, Tensor], own: Tensor) -> dict[str, Tensor]:
        """Return columns [N, ...] with the rows of all workers. The bits of each number are kept.

        Arguments:
            columns: on the CPU; a worker without rows may have none.
            own: the rows that this worker filled, boolean [N]. No row belongs to two workers.
        """
        if self.size == 1:
            return dict(columns)
        import torch.distributed as dist

        forms = {
            name: (str(column.dtype).removeprefix("torch."), list(column.shape)) for name, column in columns.items()
        }
        known: dict[str, Any] = next(filter(None, map(json.loads, self.texts(json.dumps(forms)))), {})
        whole = dict[str, Tensor]()
        for name, (dtype, shape) in known.items():
            column = columns.get(name, torch.empty(shape, dtype=getattr(torch, dtype)))
            bits = column.view(BITS[column.element_size()]).clone()
            bits[~own] = 0
            with _answered(self.size):
                dist.all_reduce(bits)
            whole[name] = bits.view(column.dtype)
        return whole

    def _gathered(self, row: Tensor) -> list[Tensor]:
        import torch.distributed as dist

        rows = [torch.empty_like(row) for _ in range(self.size)]
        with _answered(self.size):
            dist.all_gather(rows, row)
        return rows


ALONE = World()
_joined = ALONE


def world() -> World:
    """Return the place of this process among the workers of its command; `ALONE` outside `joined`."""
    return _joined


def tree_sum(parts: Sequence[Tensor]) -> Tensor:
    """Return the sum of 1, 2, 4, 8, ... tensors as a tree of pairs: ((a + b) + (c + d)).

    A tree over all parts is one over the sums of equal groups of them. So the sum has the same bits for any number of
    workers, if each of them sums its own parts first.
    """
    while len(parts) > 1:
        parts = [a + b for a, b in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


@contextmanager
def apart() -> Iterator[None]:
    """Work alone in this context: the other workers take no part."""
    global _joined
    before, _joined = _joined, ALONE
    try:
        yield
    finally:
        _joined = before


@contextmanager
def joined(use_cuda: bool = True) -> Iterator[World]:
    """Join the other workers of this command in this context, if a launcher such as torchrun started several.

    If workers fail, the first one reports its error. The others end with its exit status and print nothing.

    Arguments:
        use_cuda: whether they compute on CUDA devices, if there are any.

    Raises:
        RunError: the launcher's variables are incomplete, or the other workers cannot be reached.
        SystemExit: another worker has reported an error.
    """
    global _joined
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or _joined.size > 1:
        yield _joined
        return
    import torch.distributed as dist

    here, store = _meet(use_cuda)
    try:
        _joined = here
        yield here
    except Exception as error:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a launcher ends the others at once; this one ends by itself
        dist.destroy_process_group()  # first, so that the others do not wait for this worker
        _speak_once(error, here, store)
        raise
    else:
        dist.destroy_process_group()
    finally:
        _joined = ALONE


def _meet(use_cuda: bool) -> tuple[World, Any]:
    """Find the other workers; return the place of this one, and a store that all of them share."""
    import torch.distributed as dist

    missing = [name for name in VARIABLES if name not in os.environ]
    if missing:
        raise RunError(
            found=f"WORLD_SIZE = {os.environ['WORLD_SIZE']} without {missing[0]}",
            expected="the variables that torchrun sets",
            do="start with torchrun --nproc-per-node N -m vaelab ..., or unset WORLD_SIZE",
        )
    at = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
    try:
        rank, size, local = (int(os.environ[name]) for name in VARIABLES[:3])
        cuda = use_cuda and torch.cuda.is_available()
        if cuda:
            torch.cuda.set_device(local)
        shared, _, _ = next(dist.rendezvous("env://", timeout=timedelta(seconds=JOIN_SECONDS)))
        # After a restart, torchrun may give the store of the attempt before, with addresses that have ended
        store = dist.PrefixStore(f"attempt {os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", shared)
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if cuda else "gloo",
            store=store,
            rank=rank,
            world_size=size,
            timeout=timedelta(seconds=WAIT_SECONDS),
        )
    except (RuntimeError, ValueError) as error:  # torch's errors of networks are RuntimeErrors
        raise RunError(
            found=f"the workers cannot meet at {at} ({str(error).splitlines()[0][:120]})",
            expected="an address that all workers reach, and a free port",
            do="choose another --master-port or --rdzv-endpoint of torchrun",
        ) from error
    return World(rank, size, local), store


def _speak_once(error: Exception, here: World, store: Any) -> None:
    """Return for the first worker that fails, whose error is then printed; end the others."""
    if not isinstance(error, VaelabError):
        return
    try:
        first = store.add("failed", 1) == 1
        kept = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"  # by the launcher, not by the first worker
        until = time.monotonic() + (0 if kept else LINGER_SECONDS)
        while here.leads and store.add("failed", 0) < here.size and time.monotonic() < until:
            time.sleep(0.05)
    except RuntimeError:  # the process that held the store is gone
        first = True
    if not first:
        raise SystemExit(130 if isinstance(error, Interrupted) else 2) from error


@contextmanager
def _answered(size: int) -> Iterator[None]:
    """Report that another worker is gone, or does not answer, in one line."""
    try:
        yield
    except RuntimeError as error:
        raise RunError(
            found="another worker has ended, or does not answer",
            expected=f"all {size} workers",
            do="rerun the command, with any number of workers: it goes on from the last checkpoint",
        ) from error
