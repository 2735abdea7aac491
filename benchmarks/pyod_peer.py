"""The scores of pyod's deep detectors for one task, in pyod's own environment; see one_class.py.

    python pyod_peer.py FOLDER

FOLDER has task.json (hidden, latent, epochs, batch, seed, threads) and task.npz (train and test, float32 [N, 784] in
[0, 1]). The program writes pyod.npz, the scores of the test images by each detector, and pyod.json, the CPU seconds and
the versions. It imports nothing of vaelab.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyod
import torch
import torch._dynamo  # Adam imports it, which takes seconds: not those of the first detector
from pyod.models.auto_encoder import AutoEncoder
from pyod.models.vae import VAE

PLAIN = {"preprocessing": False, "dropout_rate": 0.0}  # pixels as they are; pyod's default standardises each pixel


def detectors(task: dict[str, Any]) -> dict[str, Any]:
    """The detectors with the sizes and the budget of the task; all else is pyod's default, except in the plain rows."""
    budget = {"epoch_num": task["epochs"], "batch_size": task["batch"], "random_state": task["seed"], "verbose": 0}
    hidden, latent = task["hidden"], task["latent"]
    vae = {"encoder_neuron_list": [hidden], "decoder_neuron_list": [hidden], "latent_dim": latent, **budget}
    auto = {"hidden_neuron_list": [hidden, latent], **budget}
    return {
        "VAE": lambda: VAE(**vae),
        "VAE, plain": lambda: VAE(**vae, **PLAIN),
        "AutoEncoder": lambda: AutoEncoder(**auto),
        "AutoEncoder, plain": lambda: AutoEncoder(**auto, **PLAIN),
    }


def main(folder: Path) -> None:
    task = json.loads((folder / "task.json").read_text())
    torch.set_num_threads(task["threads"])
    with np.load(folder / "task.npz") as arrays:
        train, test = arrays["train"], arrays["test"]
    scores, seconds = dict[str, np.ndarray](), dict[str, float]()
    for name, make in detectors(task).items():
        began = time.process_time()
        scores[name] = make().fit(train).decision_function(test)
        seconds[name] = time.process_time() - began
    np.savez(folder / "pyod.npz", **scores)
    versions = {"pyod": pyod.__version__, "torch": torch.__version__}
    (folder / "pyod.json").write_text(json.dumps({"seconds": seconds, "versions": versions}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
