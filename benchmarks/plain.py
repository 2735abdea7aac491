"""A plain PyTorch loop over a DataLoader, as in the VAE of pytorch/examples, but with images in memory."""

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.networks import decoder, encoder, loss
from benchmarks.peer import Stopwatch, Task, read_task
from benchmarks.workloads import LEARNING_RATE, THREADS


def train(task: Task) -> None:
    """Train as `task` says, and print the report."""
    training, callback = task.training, Stopwatch(task)
    torch.manual_seed(task.seed)
    images = torch.from_numpy(np.load(task.array)).float() / 255
    loader = DataLoader(TensorDataset(images), batch_size=training.batch, shuffle=True)
    encode, decode = encoder(training), decoder(training)
    optimizer = torch.optim.Adam([*encode.parameters(), *decode.parameters()], lr=LEARNING_RATE)
    bfloat16 = task.precision == "bfloat16"
    losses: list[float] = []
    for _ in range(training.warm + training.blocks):
        losses = []
        callback.begin()
        for (x,) in loader:
            optimizer.zero_grad()
            value = loss(training, encode, decode, x, bfloat16).mean()
            value.backward()
            losses.append(value.item())
            optimizer.step()
            callback.first_step()
        callback.end()
    callback.report(float(np.mean(losses)), float(np.std(losses) / len(losses) ** 0.5))


if __name__ == "__main__":
    torch.set_num_threads(THREADS)
    train(read_task())
