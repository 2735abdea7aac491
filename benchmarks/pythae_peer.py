"""pythae with its own trainer and its defaults: the whole array in memory, no worker, no checkpoint before the end.

Its Bernoulli likelihood is a cross-entropy of probabilities, so the decoder ends in a sigmoid, as pythae's own decoders
do. Its `mse` is half the squared error, a Gaussian of sigma = 1 without its constant. For IWAE it does not log the
bound (it logs sum_k w_k log w_k with normalised weights w), so the bound is computed separately in the last epoch.
"""

import logging
import math
import tempfile
import warnings

import numpy as np
import torch
from torch import Tensor, nn

warnings.filterwarnings("ignore")  # pythae uses deprecated interfaces
logging.disable(logging.INFO)

from pythae.data.datasets import BaseDataset  # noqa: E402
from pythae.models import IWAE, VAE, IWAEConfig, VAEConfig  # noqa: E402
from pythae.models.base.base_utils import ModelOutput  # noqa: E402
from pythae.models.nn import BaseDecoder, BaseEncoder  # noqa: E402
from pythae.trainers import BaseTrainer, BaseTrainerConfig  # noqa: E402
from pythae.trainers.training_callbacks import TrainingCallback  # noqa: E402

from benchmarks import networks  # noqa: E402
from benchmarks.peer import Stopwatch, Task, read_task  # noqa: E402
from benchmarks.workloads import LEARNING_RATE, THREADS, Trainer  # noqa: E402


class Encoder(BaseEncoder):
    """The workload's encoder with pythae's interface."""

    def __init__(self, training: Trainer) -> None:
        super().__init__()
        self.network = networks.encoder(training)

    def forward(self, x: Tensor) -> ModelOutput:
        mu, log_var = self.network(x).chunk(2, dim=-1)
        return ModelOutput(embedding=mu, log_covariance=log_var)


class Decoder(BaseDecoder):
    """The workload's decoder with pythae's interface."""

    def __init__(self, training: Trainer) -> None:
        super().__init__()
        self.network = nn.Sequential(networks.decoder(training), nn.Sigmoid())

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.network(z))


class Bound(IWAE):
    """IWAE that also stores the bound of each batch while `keeping` is true."""

    keeping: bool = False
    kept: list[float]

    def loss_function(self, recon_x: Tensor, x: Tensor, mu: Tensor, log_var: Tensor, z: Tensor):
        found = super().loss_function(recon_x, x, mu, log_var, z)
        if self.keeping:
            with torch.no_grad():
                repeated = x.flatten(1).unsqueeze(1).expand_as(recon_x)
                d = nn.functional.binary_cross_entropy(recon_x, repeated, reduction="none").sum(-1)
                log_q = (-0.5 * (log_var + (z - mu) ** 2 / log_var.exp())).sum(-1)
                log_w = -d - 0.5 * (z**2).sum(-1) - log_q
                self.kept.append((math.log(log_w.shape[1]) - torch.logsumexp(log_w, 1)).mean().item())
        return found


def build(training: Trainer) -> VAE | Bound:
    """pythae's model with the networks of the workload."""
    loss = {"bernoulli": "bce", "gaussian": "mse"}[training.likelihood]
    common = {"input_dim": training.shape, "latent_dim": training.latent, "reconstruction_loss": loss}
    parts = {"encoder": Encoder(training), "decoder": Decoder(training)}
    if not training.samples:
        return VAE(VAEConfig(**common), **parts)
    model = Bound(IWAEConfig(**common, number_samples=training.samples), **parts)
    model.kept = []
    return model


class Epochs(TrainingCallback):
    """A callback that records the time at the end of each epoch and the loss of the last one."""

    def __init__(self, callback: Stopwatch, model: VAE) -> None:
        self.callback, self.model, self.loss = callback, model, math.nan

    def on_epoch_begin(self, training_config, **kwargs) -> None:
        if isinstance(self.model, Bound):
            self.model.keeping = kwargs["epoch"] == training_config.num_epochs
        self.callback.begin()

    def on_train_step_end(self, training_config, **kwargs) -> None:
        self.callback.first_step()

    def on_epoch_end(self, training_config, **kwargs) -> None:
        self.callback.end()

    def on_log(self, training_config, logs, **kwargs) -> None:
        self.loss = logs["train_epoch_loss"]


def train(task: Task) -> None:
    """Train as `task` says, and print the report."""
    training, callback = task.training, Stopwatch(task)
    torch.manual_seed(task.seed)
    images = torch.from_numpy(np.load(task.array)).float() / 255
    model = build(training)
    with tempfile.TemporaryDirectory() as folder:
        config = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=training.warm + training.blocks,
            per_device_train_batch_size=training.batch,
            learning_rate=LEARNING_RATE,
            optimizer_cls="Adam",
            seed=task.seed,
            no_cuda=True,
        )
        epochs = Epochs(callback, model)
        data = BaseDataset(images, torch.zeros(len(images)))
        BaseTrainer(model, train_dataset=data, training_config=config, callbacks=[epochs]).train()
    loss = float(np.mean(model.kept)) if isinstance(model, Bound) else epochs.loss
    callback.report(loss, None)


if __name__ == "__main__":
    torch.set_num_threads(THREADS)
    train(read_task())
