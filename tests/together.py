"""Start several workers, as torchrun does, but without its own process."""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def started(
    size: int, arguments: Sequence[str], folder: Path, more: Mapping[int, Mapping[str, str]] | None = None
) -> list[subprocess.Popen[str]]:
    """Start `size` workers of `python ARGUMENTS` in `folder`.

    Arguments:
        more: rank -> variables of the environment that only this worker has.
    """
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(size)}
    workers = list[subprocess.Popen[str]]()
    for rank in range(size):
        own = {"RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        workers.append(
            subprocess.Popen(
                [sys.executable, *arguments],
                cwd=folder,
                env={**os.environ, **common, **own, **(more or {}).get(rank, {})},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    return workers


def ended(workers: Sequence[subprocess.Popen[str]], seconds: float = 120) -> list[tuple[int, str, str]]:
    """Wait for workers; their exit status, output and errors. Those that do not end are killed, which is an error."""
    try:
        told = [worker.communicate(timeout=seconds) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    return [(worker.returncode, *said) for worker, said in zip(workers, told, strict=True)]
