"""Damaged files: a few bytes change, and every command that reads the file works, or gives an error of one line."""

import gzip
import io
import json
import random
import shutil
import signal
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
from PIL import Image

import vaelab as vl
from tests.abuse.kills import STUDY
from vaelab.cli.main import main
from vaelab.training import loop
from vaelab.training.callback import Callback

SLOW_SECONDS = 20.0
SPEC = vl.Spec(data="digits", latent=2, network="mlp:hidden=4", epochs=0.2, nll_samples=2)
LONG = SPEC.model_copy(update={"epochs": 2.0, "validate_every": 0.2})
QUIET = ["--compile", "never", "--threads", "1"]


class Stop(Exception):
    """An exception that ends a training after a checkpoint."""


class TimeLimit(Exception):
    """A command that was stopped."""


def prepare(folder: Path) -> Path:
    """Make a finished run, a stopped run, a study, a Spec and data in every format."""
    folder.mkdir(parents=True)
    vl.train(SPEC, folder / "runs", "done", compile="never", callback=vl.SILENT)
    before, loop.CHECKPOINT_SECONDS = loop.CHECKPOINT_SECONDS, 0.0
    try:
        vl.train(
            LONG, folder / "runs", "stopped", compile="never", callback=Callback(say=lambda line: None, show=_stop)
        )
    except Stop:
        pass
    finally:
        loop.CHECKPOINT_SECONDS = before
    vl.train(LONG, folder / "runs", "whole", compile="never", callback=vl.SILENT)
    (folder / "study.toml").write_text(STUDY)
    (folder / "spec.json").write_text(SPEC.canonical_json())
    images, labels = np.random.default_rng(0).integers(0, 256, (60, 8, 8), np.uint8), np.arange(60) % 3
    own = vl.Spec(**SPEC.model_dump(exclude={"data", "likelihood"}))
    vl.train(own, folder / "runs", "own", compile="never", callback=vl.SILENT, data=images)
    np.savez_compressed(folder / "a.npz", images=images, labels=labels)
    np.save(folder / "a.npy", images)
    head = struct.pack(">4sIII", bytes((0, 0, 8, 3)), *images.shape)
    (folder / "a.idx").write_bytes(head + images.tobytes())
    (folder / "a.gz").write_bytes(gzip.compress(head + images.tobytes()))
    (folder / "pictures").mkdir()
    for number, image in enumerate(images[:6]):
        Image.fromarray(image).save(folder / "pictures" / f"{number}.{('png', 'jpg', 'bmp')[0]}")
    return folder


def _stop(status: object) -> None:
    if status.step >= 10:  # type: ignore[attr-defined]
        raise Stop


# File -> the commands that read it, in the folder; "again" is a training that goes on
TARGETS: dict[str, list[list[str]]] = {
    "runs/done/spec.json": [["evaluate", "runs/done", "--again", "--samples", "2"], ["figure", "runs/done", "samples"]],
    "runs/done/result.json": [["compare", "runs/done"], ["evaluate", "runs/done", "--samples", "2"]],
    "runs/done/model.safetensors": [["figure", "runs/done", "samples"]],
    "runs/done/per_image.safetensors": [
        ["compare", "runs/done", "runs/done"],
        ["evaluate", "runs/done", "--samples", "3"],
    ],
    "runs/done/log.jsonl": [["figure", "runs/done", "curves"]],
    "runs/stopped/checkpoint.safetensors": [["train", "--spec", "runs/stopped/spec.json", "--name", "stopped", *QUIET]],
    "runs/whole/checkpoint.safetensors": [["resume", "runs/whole", "--epochs", "2.2", "--name", "longer", *QUIET]],
    "runs/whole/log.jsonl": [["resume", "runs/whole", "--epochs", "2.2", "--name", "longer", *QUIET]],
    "runs/whole/result.json": [["resume", "runs/whole", "--epochs", "2.2", "--name", "longer", *QUIET]],
    "runs/own/examples.safetensors": [["figure", "runs/own", "reconstructions"]],
    "runs/stopped/log.jsonl": [["train", "--spec", "runs/stopped/spec.json", "--name", "stopped", *QUIET]],
    "spec.json": [["train", "--spec", "spec.json", "--name", "another", *QUIET]],
    "study.toml": [["report", "study.toml"]],
    "a.npz": [["data", "check", "npz:a.npz"]],
    "a.npy": [["data", "check", "npy:a.npy"]],
    "a.idx": [["data", "check", "idx:a.idx"]],
    "a.gz": [["data", "check", "idx:a.gz"]],
    "pictures/0.png": [["data", "check", "folder:pictures"]],
}


def damaged(content: bytes, dice: random.Random) -> bytes:
    """Damage `content` in one way, as disks, networks and editors do."""
    size = max(1, len(content))
    at, until = sorted((dice.randrange(size), dice.randrange(size)))
    ways: list[Callable[[], bytes]] = [
        lambda: content[:at],
        lambda: content[:at] + bytes([content[at] ^ 1 << dice.randrange(8)]) + content[at + 1 :],
        lambda: content[:at] + dice.randbytes(until - at) + content[until:],
        lambda: content[:at] + content[until:],
        lambda: content[:at] + content[at:until] * 2 + content[until:],
        lambda: content[:at] + b"\0" * (until - at) + content[until:],
        lambda: content + dice.randbytes(dice.randrange(1, 100)),
        lambda: b"",
        lambda: dice.randbytes(dice.randrange(1, 300)),
        lambda: _other_number(content, dice),
    ]
    return dice.choice(ways)()


def _other_number(content: bytes, dice: random.Random) -> bytes:
    """Replace one value of a JSON text by a value of another type or size."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return content[::-1]
    places = [(inner, key) for inner, key in _places(found)]
    if places:
        inner, key = dice.choice(places)
        inner[key] = dice.choice([None, [], {}, "", "text", -1, 0, 1e308, 2**70, True, [[1, 2]], {"a": 1}])
    return json.dumps(found).encode()


def _places(value: object) -> list[tuple[object, object]]:
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    return [(value, key) for key in keys] + [place for key in keys for place in _places(value[key])]  # type: ignore[index]


def damage_once(prepared: Path, folder: Path, dice: random.Random) -> str:
    """Damage one file of a copy, and run the commands that read it; return what went wrong, or ""."""
    name = dice.choice(list(TARGETS))
    shutil.copytree(prepared, folder)
    path = folder / name
    path.write_bytes(damaged(path.read_bytes(), dice))
    return next((wrong for words in TARGETS[name] if (wrong := answer(words, folder, name))), "")


def answer(words: list[str], folder: Path, name: str) -> str:
    """Run a command in `folder`, in this process; return what went wrong, or ""."""
    told, began = io.StringIO(), time.monotonic()
    words = [_below(word, folder) for word in words]
    if words[:1] in (["train"], ["report"]):
        words += ["--out", str(folder / "runs")]
    try:
        with redirect_stderr(told), redirect_stdout(io.StringIO()), ended_after(3 * SLOW_SECONDS):
            status = main(words)
    except SystemExit as error:  # which must not be
        return f"exit {error.code} of {name}"
    except Exception as error:  # which must not be
        return f"{type(error).__name__} of {name}: {error}".splitlines()[0]
    if (seconds := time.monotonic() - began) > SLOW_SECONDS:
        return f"{seconds:.0f} s of {name}"
    lines = told.getvalue().strip().splitlines()
    return f"status {status} and {len(lines)} lines of {name}: {lines[:2]}" if status == 2 and len(lines) != 1 else ""


@contextmanager
def ended_after(seconds: float) -> Iterator[None]:
    """Raise TimeLimit if the block takes longer; otherwise a command that never ends would not be counted."""

    def end(number: int, frame: object) -> None:
        raise TimeLimit(f"{seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _below(word: str, folder: Path) -> str:
    """Return the word; if it names something in `folder`, as a path there; also after the colon of a data source."""
    kind, colon, path = word.partition(":")
    if _there(folder, word):
        return str(folder / word)
    return f"{kind}:{folder / path}" if colon and _there(folder, path) else word


def _there(folder: Path, word: str) -> bool:
    try:
        return word not in ("", "/", "..") and (folder / word).exists()
    except (OSError, ValueError):
        return False
