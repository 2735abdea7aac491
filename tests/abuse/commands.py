"""Unusual command lines: each one works, or gives an error of one line."""

import random
import shutil
from collections.abc import Iterable
from pathlib import Path

import torch

from tests.abuse.damage import QUIET, answer, damage_once, prepare
from vaelab.cli.commands import COMMANDS

VALUES = [
    "", "-1", "0", "1", "2", "1e9", "1e999", "nan", "-inf", "99999999999999999999", "0.1", "a", "\xe9", "\u2028",
    "a\tb", "..", "/", "/dev/null", "/proc/self/mem", "~nobody/x", "x" * 300, "x/" * 200, "[[1,2]]", "{}",
    "mlp:hidden=", "mlp:hidden=0", "mlp:hidden=-5", "conv:channels=1,2,3,4,5,6,7", "a:b", "a.b:C", "os:abort", "=",
    ":", "::", "mlp:=", "elbo:samples=0", "iwae:samples=1e9", "npz:", "npz:.", "folder:", "folder:/", "folder:.",
    "npy:/dev/null", "idx:.", "digits", "mnist", "vae", "runs/done", "runs", "spec.json", "study.toml",
    "likelihood:samples=0", "fidelity:features=a.b", "latents:images=0", "--", "-h", "*", "%s", "$(id)", "\x1b[31m",
]  # fmt: skip
FLAGS = [
    "--data", "--protocol", "--validation", "--split-seed", "--model", "--latent", "--network", "--likelihood",
    "--posterior", "--prior", "--condition", "--refit", "--objective", "--nll-samples", "--epochs", "--batch",
    "--learning-rate", "--schedule", "--clip-norm", "--ema-decay", "--precision", "--patience", "--start", "--seed",
    "--name", "--preset", "--spec", "--samples", "--metrics", "--split", "--only", "--jobs", "--vmapped", "--seeds",
    "--trust", "--metric", "--data-root", "--threads", "--device", "--again", "--check", "--latnt", "--no-quick", "-x",
    "--keep-checkpoint", "--keep-examples",
]  # fmt: skip


def command_once(folder: Path, dice: random.Random) -> str:
    """Run one unusual command; return what went wrong, or ""."""
    name = dice.choice([*COMMANDS, "", "trian", "data", "data x", "help", "--seed", "--version"])
    words = name.split()
    if name == "train":
        words += ["--epochs", "0.1", "--network", "mlp:hidden=4", "--nll-samples", "1", *QUIET]
    if name == "resume":
        words += ["runs/whole", "--epochs", "2.2", *QUIET]
    for _ in range(dice.randrange(4)):
        words += [dice.choice(FLAGS)] * (dice.random() < 0.8) + [dice.choice(VALUES)] * (dice.random() < 0.9)
    if name in ("study", "data fetch"):  # which would train for minutes, or ask the network
        words += ["--only", "nothing that matches"] if name == "study" else ["--no-such-flag"]
    return answer(words, folder, " ".join(words)[:200])


def shoot(name: str, home: Path, seed: int, numbers: Iterable[int]) -> list[str]:
    """Run attacks in this process, below `home`; return what went wrong."""
    torch.set_num_threads(1)
    prepared, found = prepare(home / "prepared"), list[str]()
    for number in numbers:
        place, dice = home / "copy", random.Random(f"{seed} {name} {number}")
        if name == "files":
            found.append(damage_once(prepared, place, dice))
        else:
            shutil.copytree(prepared, place)
            found.append(command_once(place, dice))
        shutil.rmtree(place, ignore_errors=True)
    return [f"{name}: {wrong}" for wrong in found if wrong]
