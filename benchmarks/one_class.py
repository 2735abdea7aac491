"""One-class MNIST: train on one digit, rank the test images of all ten; the AUROC of each score, beside pyod's.

    python -m benchmarks.one_class --pyod VENV/bin/python          # ten digits
    python -m benchmarks.one_class --pyod VENV/bin/python --quick  # two digits with few images

Every detector has the same layers (784-hidden-latent-hidden-784), the same training images, epochs and batch, and Adam
at 1e-3. vaelab trains without validation images here, because pyod has none. The row that is compared with pyod is
`COMPARED`, chosen before the ten digits were measured. pyod has an environment of its own, with the same torch:
`python3 -m venv VENV && VENV/bin/pip install torch==2.13.0 pyod==3.6.7 tqdm`.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from scipy.stats import rankdata

import vaelab as vl
from benchmarks.found import require
from vaelab.serving.ranking import abnormal, rank
from vaelab.serving.scores import UNUSUAL, score

MODELS = {  # row -> protocol and likelihood
    "bernoulli": ("binary-dynamic", "bernoulli"),
    "gaussian": ("8bit", "gaussian:sigma=shared"),
}
COMPARED = "gaussian: nll_nats"  # the default score, of the model that reads pixels as pyod does; see docs/scores.md
SAMPLES = 20  # K
PEER = Path(__file__).with_name("pyod_peer.py")


@dataclass(frozen=True)
class Task:
    """The sizes and the budget of every detector."""

    digits: tuple[int, ...] = tuple(range(10))
    train: int = 0  # images of the digit; 0: all
    test: int = 2000  # images of all digits, a random choice
    hidden: int = 128
    latent: int = 10
    epochs: int = 20
    batch: int = 100
    seed: int = 0
    threads: int = 1


QUICK = Task(digits=(1, 8), train=1000, test=500, epochs=10)


def vaelab_scores(
    folder: Path, digit: int, images: np.ndarray, test: vl.Dataset, task: Task, model: str, regret: bool
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Each score of the test images, and the CPU seconds of training and of scoring."""
    protocol, likelihood = MODELS[model]
    file = folder / "digit.npz"
    own = test.images[test.labels == digit]
    np.savez(file, train_images=images, test_images=own)  # training ends with a measurement of test images
    spec = vl.Spec(
        data=f"npz:{file}",
        protocol=protocol,
        likelihood=likelihood,
        network=f"mlp:hidden={task.hidden}",
        latent=task.latent,
        epochs=task.epochs,
        batch=task.batch,
        validation=0,
        nll_samples=1,
        seed=task.seed,
    )
    began = time.process_time()
    run = vl.train(spec, folder / model, compile="never", device="cpu", callback=vl.SILENT)
    trained = time.process_time()
    data = vl.Dataset("mnist", "test", test.images, test.labels, protocol)
    found = score(run.model(), data, SAMPLES, task.seed, regret)
    seconds = {"training": trained - began, "scores": time.process_time() - trained}
    names = [name for name in UNUSUAL if getattr(found, name) is not None]
    return {f"{model}: {name}": found.unusual(name) for name in names}, seconds


def pyod_scores(
    python: str, folder: Path, images: np.ndarray, test: vl.Dataset, task: Task
) -> tuple[dict[str, np.ndarray], dict[str, float], dict[str, str]]:
    """Each detector's scores of the test images, its CPU seconds (training and scoring), and versions."""
    pixels = {
        name: (x / 255).reshape(len(x), -1).astype(np.float32) for name, x in (("train", images), ("test", test.images))
    }
    np.savez(folder / "task.npz", **pixels)
    (folder / "task.json").write_text(json.dumps(asdict(task)))
    subprocess.run([python, "-I", PEER, folder], check=True)  # without this folder, whose profile.py is not Python's
    told = json.loads((folder / "pyod.json").read_text())
    with np.load(folder / "pyod.npz") as arrays:
        scores = {f"pyod {name}": arrays[name] for name in arrays.files}
    return scores, {f"pyod {name}": spent for name, spent in told["seconds"].items()}, told["versions"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--pyod", metavar="PYTHON", help="the interpreter of pyod's environment; without it, vaelab alone"
    )
    parser.add_argument("--quick", action="store_true", help="two digits with few images")
    parser.add_argument("--regret", action="store_true", help="also the likelihood regret, which takes longest")
    parser.add_argument("--digits", help="some of the digits, such as 1,8")
    parser.add_argument("--images", type=int, help="training images of a digit; without it, all")
    parser.add_argument("--seed", type=int, default=0, help="of every detector")
    parser.add_argument("--data-root", help="the data directory, as in `vaelab train`")
    parser.add_argument("--out", type=Path, help="a JSON file for the numbers")
    asked = parser.parse_args()
    require(["mnist"], asked.data_root)
    task = QUICK if asked.quick else Task()
    task = replace(task, train=asked.images or task.train, seed=asked.seed)
    digits = tuple(int(digit) for digit in asked.digits.split(",")) if asked.digits else task.digits
    torch.set_num_threads(task.threads)
    data = vl.load_data("mnist", root=asked.data_root)
    held_out = data.test.some(task.test)
    aurocs, deviations = dict[str, dict[int, float]](), dict[str, list[np.ndarray]]()
    seconds, versions = dict[str, list[float]](), dict[str, str]()
    for digit in digits:
        images = data.train.images[data.train.labels == digit][: task.train or None]
        unusual = abnormal(held_out, [digit])
        scores = dict[str, np.ndarray]()
        with tempfile.TemporaryDirectory() as folder:
            spent = dict[str, float]()
            for model in MODELS:
                found, took = vaelab_scores(Path(folder), digit, images, held_out, task, model, asked.regret)
                scores |= found
                spent |= {f"{model}, {part}": value for part, value in took.items()}
            if asked.pyod:
                found, took, versions = pyod_scores(asked.pyod, Path(folder), images, held_out, task)
                scores, spent = scores | found, spent | took
        for name, values in scores.items():
            aurocs.setdefault(name, {})[digit] = rank(values, unusual).auroc
            deviations.setdefault(name, []).append(deviation(values, unusual))
        for name, value in spent.items():
            seconds.setdefault(name, []).append(value)
        print(f"digit {digit}: {len(images):,} training images", file=sys.stderr, flush=True)
    means = {name: np.mean(each, axis=0) for name, each in deviations.items()}
    print(table(aurocs, means))
    print("\nCPU seconds for a digit: " + ", ".join(f"{name} {np.mean(each):.1f}" for name, each in seconds.items()))
    print(
        f"{task}; K = {SAMPLES}; vaelab with torch {torch.__version__}; {versions}; Python {platform.python_version()}"
    )
    if asked.out:
        asked.out.write_text(json.dumps({"auroc": aurocs, "seconds": seconds, "task": asdict(task)}, indent=1))


def deviation(values: np.ndarray, unusual: np.ndarray) -> np.ndarray:
    """What each image contributes to the error of the AUROC, [N]; the squares add up to its variance.

    The contribution is the image's placement among the images of the other kind, minus the AUROC, over the number of
    images of its kind (DeLong, DeLong & Clarke-Pearson 1988). Contributions to the AUROCs of several scores or digits
    add up image by image, so that the standard error of their mean or difference counts the images that they share.
    """
    ranks, placements, sizes = rankdata(values), np.empty(len(values)), np.empty(len(values))
    for kind in (unusual, ~unusual):
        placements[kind] = (ranks[kind] - rankdata(values[kind])) / (~kind).sum()
        sizes[kind] = kind.sum()
    placements[~unusual] = 1 - placements[~unusual]
    return (placements - placements[unusual].mean()) / sizes


def table(aurocs: dict[str, dict[int, float]], deviations: dict[str, np.ndarray]) -> str:
    """The AUROC of each row and digit in percent, best mean first, and by how much `COMPARED` is above it.

    Arguments:
        deviations: of the mean over the digits, [N] for each row; they give the standard errors.
    """
    digits, means = list(aurocs[COMPARED]), {name: np.mean(list(each.values())) for name, each in aurocs.items()}
    head = ["score", "mean", "compared minus this", *map(str, digits)]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for name in sorted(means, key=lambda name: -means[name]):
        below = _with_error(means[COMPARED] - means[name], deviations[COMPARED] - deviations[name])
        cells = [_with_error(means[name], deviations[name]), below if name != COMPARED else ""]
        cells += [f"{100 * value:.1f}" for value in aurocs[name].values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _with_error(value: float, deviations: np.ndarray) -> str:
    return f"{100 * value:.1f} ± {100 * np.sqrt((deviations**2).sum()):.1f}"


if __name__ == "__main__":
    main()
