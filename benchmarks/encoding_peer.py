"""Encode a folder of images with a plain torch DataLoader; see encoding.py.

    python encoding_peer.py IMAGES WEIGHTS OUT WORKERS THREADS

IMAGES has RGB image files of one size. WEIGHTS is the safetensors file of a model of vaelab whose network is `mlp`, of
protocol `levels`. OUT becomes an .npz with names, mean and scale. The program imports nothing of vaelab.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

BATCH = 500


class Files(Dataset[Tensor]):
    """Image files as uint8 [C, H, W]."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, at: int) -> Tensor:
        with Image.open(self.paths[at]) as image:
            return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


def encoder(weights: dict[str, Tensor]) -> nn.Module:
    """The network of the model: pixels [B, C, H, W] -> mean and log-variance of q(z|x), [B, 2 D]."""
    own = {key.removeprefix("posterior.network."): value for key, value in weights.items() if "posterior.net" in key}
    (hidden, pixels), (out, _) = own["1.weight"].shape, own["3.weight"].shape
    network = nn.Sequential(nn.Flatten(), nn.Linear(pixels, hidden), nn.GELU(), nn.Linear(hidden, out))
    network.load_state_dict(own)
    return network.eval()


def main() -> None:
    images, file, out, workers, threads = sys.argv[1:]
    if int(threads):
        torch.set_num_threads(int(threads))
    paths = sorted(Path(images).iterdir())
    weights = load_file(file)
    network, means, scales = encoder(weights), list[Tensor](), list[Tensor]()
    loader = DataLoader(Files(paths), BATCH, num_workers=int(workers))
    with torch.no_grad():
        for levels in loader:
            mean, log_variance = network(levels.float() / 255 - weights["posterior.centre"]).chunk(2, 1)
            means.append(mean)
            scales.append((0.5 * log_variance).exp())
    arrays = {"mean": torch.cat(means).numpy(), "scale": torch.cat(scales).numpy()}
    np.savez(out, name=np.array([path.name for path in paths]), **arrays)


if __name__ == "__main__":
    main()
