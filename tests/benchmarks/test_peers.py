"""The peers do the same work: the same architecture, FLOPs and loss; and they run."""

import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import networks, peer, plain, vaelab_peer, workloads
from benchmarks.flops import decoder_layers, encoder_layers, step_flops
from benchmarks.peer import Task
from benchmarks.workloads import MNIST, SVHN, A, Trainer, Workload

SMALL = {
    "elbo": Trainer(MNIST, (7,), (), 3, "bernoulli", 0, batch=4, images=12, warm=1, blocks=1),
    "iwae": Trainer(MNIST, (7, 5), (), 3, "bernoulli", 5, batch=4, images=12, warm=1, blocks=1),
    "gaussian": Trainer(SVHN, (), (2, 3, 4), 3, "gaussian", 0, batch=4, images=12, warm=1, blocks=1),
    "logistic": Trainer(SVHN, (), (2, 3, 4), 3, "logistic", 0, batch=4, images=12, warm=1, blocks=1),
}


def task(tmp_path: Path, training: Trainer) -> Task:
    levels = np.random.default_rng(0).integers(0, 256, (training.images, *training.shape), np.uint8)
    images = 255 * (levels > 127).astype(np.uint8) if training.likelihood == "bernoulli" else levels
    np.save(tmp_path / "x.npy", images)
    np.savez(tmp_path / "x.npz", train_images=images, test_images=images[:2])
    workload = Workload("x", "", ("step_ms", "ms"), (), (), 1, 60, training)
    return Task(workload, "float32", 0, tmp_path, ())


@pytest.mark.parametrize("training", SMALL.values(), ids=SMALL)
def test_flops_are_those_that_torch_counts(training: Trainer):
    encode, decode = networks.encoder(training), networks.decoder(training)
    x = torch.rand(training.batch, *training.shape).round()
    with FlopCounterMode(display=False) as counter:
        networks.loss(training, encode, decode, x, False).mean().backward()
    assert counter.get_total_flops() == step_flops(training)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        encode(x)
    assert counter.get_total_flops() == training.batch * sum(encoder_layers(training))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        decode(torch.zeros(1, training.latent))
    assert counter.get_total_flops() == sum(decoder_layers(training))


def test_flops_of_the_first_workload_by_hand():
    assert step_flops(A) == 100 * 2 * (2 * 784 * 500 + 3 * 500 * 40 + 3 * 20 * 500 + 3 * 500 * 784)


@pytest.mark.parametrize("training", SMALL.values(), ids=SMALL)
def test_vaelab_has_the_same_layers_and_the_same_loss(tmp_path: Path, training: Trainer):
    ready = vaelab_peer.prepare(task(tmp_path, training))
    encode, decode = networks.encoder(training), networks.decoder(training)
    ours = list(ready.model.parameters())
    theirs = [*encode.parameters(), *decode.parameters()]
    assert [p.shape for p in ours] == [p.shape for p in theirs]
    with torch.no_grad():
        for p, q in zip(theirs, ours, strict=True):
            p.copy_(q)
        x = ready.setup.reading.pixels(ready.setup.batch(0)[:4])
        torch.manual_seed(1)
        loss, _ = ready.setup.objective(ready.model, x, torch.tensor(0))
        torch.manual_seed(1)
        plainly = networks.loss(training, encode, decode, x, False)
    torch.testing.assert_close(loss - vaelab_peer.constant(training), plainly, rtol=2e-5, atol=1e-3)


@pytest.mark.parametrize("training", SMALL.values(), ids=SMALL)
def test_jax_has_the_same_layers_and_the_same_loss(training: Trainer):
    pytest.importorskip("jax")
    from benchmarks import jax_peer

    torch.manual_seed(0)
    encode, decode = networks.encoder(training), networks.decoder(training)
    layers = [*_for_jax(encode, training), *_for_jax(decode, training)]
    for ours, (w, b) in zip(jax_peer.initial(training, 0), layers, strict=True):
        assert (ours[0].shape, ours[1].shape) == (w.shape, b.shape)
        if w.size > 500:  # both uniform within the same bounds
            np.testing.assert_allclose(abs(ours[0]).max(), abs(w).max(), rtol=0.02)
    x = torch.rand(2, *training.shape).round()
    z = torch.randn(2, training.latent)
    x_last = x.permute(0, 2, 3, 1).numpy()
    with torch.no_grad():
        code, loss = encode(x).numpy(), networks.distortion(training, decode(z), x).numpy()
    np.testing.assert_allclose(np.hstack(jax_peer.encode(training, layers, x_last)), code, rtol=1e-3, atol=1e-5)
    found = jax_peer.distortion(training, jax_peer.decode(training, layers, z.numpy()), x_last)
    np.testing.assert_allclose(np.asarray(found), loss, rtol=1e-5)


def _for_jax(network: torch.nn.Sequential, training: Trainer) -> list[tuple[np.ndarray, np.ndarray]]:
    """The weights of a network in the layout of the JAX peer: maps last, kernels of transposed convolutions turned."""
    halvings = len(training.channels)
    _, height, width = training.shape
    maps = (training.channels[-1], height >> halvings, width >> halvings) if halvings else None
    made = []
    for layer in network:
        if not list(layer.parameters()):
            continue
        w, b = layer.weight.detach().numpy(), layer.bias.detach().numpy()
        if isinstance(layer, torch.nn.Conv2d):
            w = w.transpose(2, 3, 1, 0)
        elif isinstance(layer, torch.nn.ConvTranspose2d):
            w = w[:, :, ::-1, ::-1].transpose(2, 3, 0, 1)
        elif maps and w.shape[1] == np.prod(maps):  # reads flattened maps
            w = w.reshape(-1, *maps).transpose(2, 3, 1, 0).reshape(-1, len(w))
        elif maps and w.shape[0] == np.prod(maps):  # writes them
            w = w.reshape(*maps, -1).transpose(3, 1, 2, 0).reshape(w.shape[1], -1)
            b = b.reshape(maps).transpose(1, 2, 0).ravel()
        else:
            w = w.T
        made.append((w, b))
    return made


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["elbo", "gaussian"])
def test_the_plain_loop_takes_its_steps_and_reports(tmp_path: Path, capsys, name: str, precision: str):
    chosen = replace(task(tmp_path, SMALL[name]), precision=precision)
    plain.train(chosen)
    _check(json.loads(capsys.readouterr().out))


def test_vaelab_takes_its_steps_and_reports(tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setattr(vaelab_peer, "choose_step", lambda step, work, choice, say: (step, False))
    vaelab_peer.train(task(tmp_path, SMALL["gaussian"]))
    report = json.loads(capsys.readouterr().out)
    _check(report)
    assert report["eager_step_ms"] > 0


def test_jax_takes_its_steps_and_reports(tmp_path: Path, capsys):
    pytest.importorskip("jax")
    importlib.import_module("benchmarks.jax_peer").train(task(tmp_path, SMALL["iwae"]))
    _check(json.loads(capsys.readouterr().out))


@pytest.mark.parametrize("name", ["elbo", "iwae"])
@pytest.mark.filterwarnings("ignore")
def test_pythae_takes_its_steps_and_reports(tmp_path: Path, capsys, name: str):
    pytest.importorskip("pythae")
    importlib.import_module("benchmarks.pythae_peer").train(task(tmp_path, SMALL[name]))
    _check(json.loads(capsys.readouterr().out.splitlines()[-1]))


def _check(report: dict) -> None:
    assert len(report["block_seconds"]) == 2  # a warm one, one under the clock
    assert report["step_ms"] == pytest.approx(1e3 * report["block_seconds"][1] / 3)
    assert 0 < report["seconds_to_first_step"] <= report["whole_process_seconds"]
    assert report["peak_memory_mb"] > 50
    assert 0 < report["final_loss"] < 2_000 * 3


def test_the_clock_begins_when_the_driver_starts_the_process(monkeypatch):
    monkeypatch.setenv(peer.STARTED, repr(peer._BEGAN - 100))
    assert peer.since_start() > 100


def test_every_workload_names_rows_that_there_are_and_modules_that_can_be_found():
    for quick in (False, True):
        for workload in workloads.workloads(quick).values():
            labels = [contestant.label for contestant in workload.contestants]
            assert len(set(labels)) == len(labels)
            assert set(workload.references) <= set(labels)
            for contestant in workload.contestants:
                assert importlib.util.find_spec(contestant.module), contestant
            if workload.training:
                assert workload.training.images % workload.training.batch == 0


def test_a_command_line_becomes_a_task(monkeypatch):
    words = "--workload e --folder here --seed 3 --quick pythae --jobs 2"
    monkeypatch.setattr(sys, "argv", ["x", *words.split()])
    read = peer.read_task()
    assert (read.workload.key, read.seed, read.rest) == ("e", 3, ("pythae", "--jobs", "2"))
    assert read.array == Path("here/e.npy")
