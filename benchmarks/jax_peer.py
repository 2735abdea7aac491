"""JAX: an epoch is one jitted `lax.scan` for a fully connected network; otherwise each step is one jitted function.

The images are in the device's memory. The order and the noise are drawn in the compiled program. The state is donated,
so nothing is copied. Images and maps are NHWC, which XLA prefers. On a CPU, XLA compiles the body of a scan with a
convolution for one thread; therefore convolutional networks have one function for each step.
"""

import math
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax, random
from jax.nn import log_sigmoid, log_softmax, logsumexp, sigmoid, softplus

from benchmarks.peer import Stopwatch, Task, read_task, since_start
from benchmarks.workloads import BETA_1, BETA_2, COMPONENTS, EPSILON, LEARNING_RATE, Trainer

NHWC = ("NHWC", "HWIO", "NHWC")
LOG_SCALE_FLOOR, LOG_SCALE_CEILING, START = -9.0, 2.0, 0.25  # as in vaelab's likelihood


def initial(training: Trainer, seed: int) -> list:
    """Weights and biases of encoder and decoder, uniform within 1 / sqrt(fan in) as in PyTorch."""
    channels, height, width = training.shape
    kinds = []  # (shape of the weight, fan in)
    for maps in training.channels:
        kinds.append(((4, 4, channels, maps), 16 * channels))
        channels, height, width = maps, height // 2, width // 2
    sizes = [channels * height * width, *training.hidden, 2 * training.latent]
    kinds += [((a, b), a) for a, b in pairwise(sizes)]
    if not training.channels:
        channels = training.parameters
    sizes = [training.latent, *training.hidden[::-1], channels * height * width]
    kinds += [((a, b), a) for a, b in pairwise(sizes)]
    for maps in [*training.channels[-2::-1], training.parameters] if training.channels else []:
        kinds.append(((4, 4, channels, maps), 16 * maps))  # for a transposed one, PyTorch's fan in counts the outputs
        channels = maps
    rng = np.random.default_rng(seed)
    layers = []
    for shape, fan_in in kinds:
        bound = fan_in**-0.5
        layers.append((rng.uniform(-bound, bound, shape), rng.uniform(-bound, bound, shape[-1])))
    return jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), layers)


def encode(training: Trainer, layers: list, x):
    """x [B, H, W, C] -> mu, log sigma^2."""
    activation = jax.nn.relu if training.activation == "relu" else jnp.tanh
    convolutions, last = len(training.channels), len(training.channels) + len(training.hidden)
    for w, b in layers[:convolutions]:
        x = activation(lax.conv_general_dilated(x, w, (2, 2), "SAME", dimension_numbers=NHWC) + b)
    x = x.reshape(len(x), -1)
    for i, (w, b) in enumerate(layers[convolutions : last + 1]):
        x = x @ w + b
        x = activation(x) if i < len(training.hidden) else x
    return jnp.split(x, 2, -1)


def decode(training: Trainer, layers: list, z):
    """z [B, D] -> parameters of p(x|z), [B, H, W, P]."""
    activation = jax.nn.relu if training.activation == "relu" else jnp.tanh
    halvings = len(training.channels)
    layers = layers[halvings + len(training.hidden) + 1 :]
    dense, up = layers[: len(training.hidden) + 1], layers[len(training.hidden) + 1 :]
    for i, (w, b) in enumerate(dense):
        z = z @ w + b
        z = activation(z) if i < len(training.hidden) else z
    _, height, width = training.shape
    z = z.reshape(len(z), height >> halvings, width >> halvings, -1)
    for w, b in up:
        z = lax.conv_transpose(activation(z), w, (2, 2), "SAME", dimension_numbers=NHWC) + b
    return z


def distortion(training: Trainer, parameters, x):
    """-log p(x|z), [...], from parameters [..., H, W, P]; a Gaussian's log(2 pi) / 2 for each pixel is left out."""
    if training.likelihood == "bernoulli":
        loss = softplus(parameters) - x * parameters
    elif training.likelihood == "gaussian":
        loss = 0.5 * (x - sigmoid(parameters)) ** 2
    else:
        loss = logistic_mixture(parameters, x)
    return loss.sum((-3, -2, -1))


def logistic_mixture(parameters, x):
    """-log sum_k pi_k P(u | mu_k, s_k) for each pixel [..., H, W, C] of x = u / 255, from [..., H, W, 3 K C]."""
    start = math.log(START * math.sqrt(3) / math.pi)
    above = LOG_SCALE_CEILING - math.log(math.expm1(LOG_SCALE_CEILING - start))
    start = LOG_SCALE_FLOOR + math.log(math.expm1(above - LOG_SCALE_FLOOR))
    colours = x.shape[-1]
    m, s, logits = jnp.split(parameters, 3, -1)  # [..., H, W, K C]: a long last axis was the fastest of several layouts
    mu = jnp.repeat((jnp.arange(COMPONENTS) + 0.5) / COMPONENTS, colours) + m / 4
    floored = LOG_SCALE_FLOOR + softplus(s + start - LOG_SCALE_FLOOR)
    log_s = LOG_SCALE_CEILING - softplus(LOG_SCALE_CEILING - floored)
    u = jnp.tile(jnp.round(255 * x), COMPONENTS)
    per_level = jnp.exp(-log_s) / 255
    upper = log_sigmoid((u + 0.5 - 255 * mu) * per_level)
    lower = log_sigmoid((255 * mu - u + 0.5) * per_level)
    inside = upper + lower + jnp.log(-jnp.expm1(-per_level))
    log_p = jnp.where(u == 0, upper, jnp.where(u == 255, lower, inside))
    logits, log_p = (each.reshape(*each.shape[:-1], COMPONENTS, colours) for each in (logits, log_p))
    return -logsumexp(log_softmax(logits, -2) + log_p, -2)


def loss(training: Trainer, layers: list, key, x):
    """Mean of -ELBO or -L_k over the batch."""
    mu, log_var = encode(training, layers, x)
    samples = max(1, training.samples)
    eps = random.normal(key, (samples, *mu.shape))
    z = mu + jnp.exp(0.5 * log_var) * eps
    parameters = decode(training, layers, z.reshape(-1, training.latent))
    d = distortion(training, parameters.reshape(samples, -1, *parameters.shape[1:]), x)
    if not training.samples:
        return (d[0] - 0.5 * (1 + log_var - mu**2 - jnp.exp(log_var)).sum(-1)).mean()
    log_w = -d - 0.5 * (z**2).sum(-1) + 0.5 * (log_var + eps**2).sum(-1)
    return (math.log(samples) - logsumexp(log_w, 0)).mean()


def step(training: Trainer, images, carry, indices):
    """Take one step of Adam (Kingma & Ba 2015, algorithm 1)."""
    layers, m, v, t, key = carry
    key, noise = random.split(key)
    value, g = jax.value_and_grad(partial(loss, training))(layers, noise, images[indices])
    t = t + 1
    m = jax.tree.map(lambda m, g: BETA_1 * m + (1 - BETA_1) * g, m, g)
    v = jax.tree.map(lambda v, g: BETA_2 * v + (1 - BETA_2) * g * g, v, g)
    alpha, beta = LEARNING_RATE / (1 - BETA_1**t), 1 / (1 - BETA_2**t)
    layers = jax.tree.map(lambda p, m, v: p - alpha * m / (jnp.sqrt(beta * v) + EPSILON), layers, m, v)
    return (layers, m, v, t, key), value


def epoch(training: Trainer, images, carry):
    """Take all steps of an epoch, in a random order."""
    *state, key = carry
    key, order = random.split(key)
    rows = random.permutation(order, len(images)).reshape(training.steps, training.batch)
    return lax.scan(partial(step, training, images), (*state, key), rows)


def compiled(task: Task, images, carry, callback: Stopwatch) -> Callable[[Any, Any], tuple[Any, Any]]:
    """Compile the function that takes the steps of an epoch: (images, state) -> (state, losses)."""
    training, order = task.training, np.random.default_rng(task.seed)
    if not training.channels:
        return jax.jit(partial(epoch, training), donate_argnums=1).lower(images, carry).compile()
    rows = jnp.arange(training.batch)
    one = jax.jit(partial(step, training), donate_argnums=1).lower(images, carry, rows).compile()

    def steps(images, carry):
        losses = []
        for rows in order.permutation(len(images)).reshape(training.steps, training.batch):
            carry, value = one(images, carry, rows)
            losses.append(value)
            if callback.to_first_step is None:
                value.block_until_ready()
                callback.first_step()
        return carry, losses

    return steps


def train(task: Task) -> None:
    """Train as `task` says, and print the report."""
    training, callback = task.training, Stopwatch(task)
    images = jnp.asarray(np.load(task.array).transpose(0, 2, 3, 1), jnp.float32) / 255
    layers = initial(training, task.seed)
    zeros = partial(jax.tree.map, jnp.zeros_like)
    carry = (layers, zeros(layers), zeros(layers), jnp.zeros(()), random.key(task.seed))
    began = time.perf_counter()
    block = compiled(task, images, carry, callback)
    compiling, ready, losses = time.perf_counter() - began, since_start(), np.zeros(0)
    for _ in range(training.warm + training.blocks):
        callback.begin()
        carry, found = block(images, carry)
        losses = np.asarray(found)  # waits for all steps
        callback.end()
    # A scan does not show its first step, so it is taken to end one step after the compilation.
    callback.to_first_step = callback.to_first_step or ready + callback.blocks[0] / training.steps
    error = float(losses.std() / len(losses) ** 0.5)
    callback.report(float(losses.mean()), error, compile_seconds=compiling)


if __name__ == "__main__":
    train(read_task())
