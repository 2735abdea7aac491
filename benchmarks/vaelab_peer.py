"""vaelab: take the steps of `vaelab train`, block by block. Only this module uses vaelab's training code."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import log, pi, prod

import torch
from torch import nn

from benchmarks.peer import Stopwatch, Task, read_task, report
from benchmarks.workloads import COMPONENTS, LEARNING_RATE, THREADS, Trainer
from vaelab.models import VAE
from vaelab.runs.blueprint import Blueprint, blueprint_of
from vaelab.runs.build import build_model, build_objective, load_splits
from vaelab.runs.spec import Spec
from vaelab.system.processor import at_full_speed
from vaelab.training.setup import TrainingSetup, bfloat16
from vaelab.training.step.compiled import choose_step
from vaelab.training.step.step import Step, TrainState

LIKELIHOODS = {  # workload's likelihood -> vaelab's likelihood and protocol
    "bernoulli": ("bernoulli", "binary-static"),
    "gaussian": ("gaussian:sigma=1", "grey"),
    "logistic": (f"logistic:components={COMPONENTS}:scale=pixel", "levels"),
}
EAGER_STEPS = 4  # taken after the measured ones, to find what compiling saves


def spec_of(training: Trainer, data: str, precision: str = "float32", seed: int = 0) -> Spec:
    """The Spec of a workload on the source `data`."""
    likelihood, protocol = LIKELIHOODS[training.likelihood]
    if training.channels:
        network = f"conv:channels={','.join(map(str, training.channels))}:activation={training.activation}"
    else:
        network = f"mlp:hidden={','.join(map(str, training.hidden))}:activation={training.activation}"
    return Spec(
        data=data,
        protocol=protocol,
        validation=0,
        latent=training.latent,
        network=network,
        likelihood=likelihood,
        objective=f"iwae:samples={training.samples}" if training.samples else "elbo",
        epochs=training.warm + training.blocks,
        batch=training.batch,
        learning_rate=LEARNING_RATE,
        precision="bfloat16" if precision == "bfloat16" else "float32",
        seed=seed,
    )


@dataclass(frozen=True, eq=False)
class Ready:
    """A training that is ready for its first step."""

    blueprint: Blueprint
    setup: TrainingSetup
    state: TrainState
    model: VAE
    bfloat16: bool
    said: list[str]

    def step(self, compiled: bool) -> Step:
        """The function that `setup.take` takes."""
        choice = "always" if compiled else "never"
        return choose_step(self.setup.step(self.state), self.setup.work, choice, self.said.append)[0]

    @contextmanager
    def training(self) -> Iterator[None]:
        """A context with the precision of the task for the networks, and the processor settings of a training."""
        with at_full_speed(), bfloat16(self.model, self.bfloat16):
            yield


def start_as_torch_does(model: VAE, seed: int) -> VAE:
    """Give every layer of `model` torch's own initial scale, as in the other libraries, because losses must agree."""
    torch.manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            module.reset_parameters()
    return model


def prepare(task: Task) -> Ready:
    """The model, data and state of `task`."""
    spec = spec_of(task.training, f"npz:{task.array.with_suffix('.npz')}", task.precision, task.seed)
    blueprint = blueprint_of(spec)
    data = load_splits(blueprint)
    model = start_as_torch_does(build_model(blueprint, data.train.shape), task.seed)
    setup = TrainingSetup.of(model, build_objective(blueprint), data.train, spec, blueprint.schedule)
    return Ready(blueprint, setup, TrainState.start(model, spec), model, task.precision == "bfloat16", [])


def constant(training: Trainer) -> float:
    """The constant of vaelab's loss that the peers' losses leave out: log(2 pi) / 2 for each pixel of a Gaussian."""
    return prod(training.shape) * log(2 * pi) / 2 if training.likelihood == "gaussian" else 0.0


def seconds_a_step(ready: Ready, step: Step, first: int, count: int) -> float:
    """Take `count` steps, starting with number `first`; return the seconds of one step."""
    began = time.perf_counter()
    for t in range(first, first + count):
        ready.setup.take(step, t)
    return (time.perf_counter() - began) / count


def train(task: Task) -> None:
    """Train as `task` says with the compiled step, and print the report; with --prime, only fill the compile cache."""
    training, callback = task.training, Stopwatch(task)
    ready = prepare(task)
    with ready.training():
        step = ready.step(compiled=True)
        if "--prime" in task.rest:
            first, second = seconds_a_step(ready, step, 0, 1), seconds_a_step(ready, step, 1, 1)
            return report(task, compile_seconds=first - second, said=ready.said)
        taken, to_compile, meters = 0, 0.0, dict[str, float]()
        for _ in range(training.warm + training.blocks):
            ready.state.meters.reset()
            callback.begin()
            for _ in range(training.steps):
                if taken == 0:
                    to_compile = seconds_a_step(ready, step, 0, 1)
                else:
                    ready.setup.take(step, taken)
                taken += 1
                callback.first_step()
            meters = ready.state.meters.read()  # waits for the device
            callback.end()
        callback.stop()
        eager = ready.step(compiled=False)
        seconds_a_step(ready, eager, taken, 1)
        eager_ms = 1e3 * seconds_a_step(ready, eager, taken + 1, EAGER_STEPS)
    callback.report(
        meters["loss"] - constant(training),
        meters["loss_se"],
        compile_seconds=to_compile - min(callback.blocks[1:]) / training.steps,
        eager_step_ms=eager_ms,
        said=ready.said,
    )
    return None


if __name__ == "__main__":
    torch.set_num_threads(THREADS)
    train(read_task())
