"""Where images come from and what may be done with them: splits, protocols, and no code inside of a file."""

import pickle

import numpy as np
import pytest
import torch

from tests.built import completed
from tests.traps.small import Recorder, build, by_hand, fitted, noise, npz, spec_of, x_of
from vaelab.data import load_data
from vaelab.data.protocol import PROTOCOLS
from vaelab.objectives.weighted import Elbo
from vaelab.runs.directory import Run
from vaelab.runs.spec import Spec
from vaelab.runs.train import train
from vaelab.system.errors import DataError, RunError, SpecError


@pytest.mark.parametrize("data", ["svhn", "frey", "npz:any.npz", "folder:any"])
def test_t20_a_bernoulli_of_grey_pixels_is_refused_unless_asked_for(data):
    """T20: a cross-entropy of grey pixels passed off as a likelihood."""
    with pytest.raises(SpecError, match=r"gaussian:sigma=shared, which describes these pixels, or .* not a likelihood"):
        completed(Spec(data=data, likelihood="bernoulli"))
    with pytest.raises(SpecError, match="pixels that it describes"):
        completed(Spec(data=data, likelihood="bernoulli", protocol="8bit"))
    assert completed(Spec(data=data, likelihood="bernoulli", protocol="grey")).protocol == "grey"


@pytest.mark.parametrize(("protocol", "note"), [("grey", "not a likelihood"), ("binary-dynamic", "")])
def test_t20_where_it_was_asked_for_its_value_is_marked(protocol, note, tmp_path):
    """T20: as above, in what is written down."""
    spec = spec_of(npz(tmp_path / "images.npz", noise(30), noise(10)))
    run = train(spec.model_copy(update={"protocol": protocol}), tmp_path, compile="never")
    for name in ("nll", "elbo"):
        assert ("not a likelihood" in run.metric(name).note) == bool(note)
        assert run.metric(name).protocol == protocol


def test_t34_nothing_is_chosen_on_the_test_images(tmp_path):
    """T34: the test split as validation set of the checkpoint."""
    train_images, outcomes = noise(60), []
    for name, test_images in (("one", noise(20, seed=1)), ("two", 255 - noise(15, seed=2))):
        spec = spec_of(npz(tmp_path / f"{name}.npz", train_images, test_images))
        spec = spec.model_copy(update={"learning_rate": 0.1, "epochs": 15.0, "patience": 3.0})
        outcomes.append(train(spec, tmp_path, compile="never"))
    one, two = outcomes
    assert one.metric("nll").value != two.metric("nll").value
    assert one.result["best_step"] == two.result["best_step"] < one.log[-1]["step"]
    for a, b in zip(one.model().parameters(), two.model().parameters(), strict=True):
        assert torch.equal(a, b)
    assert [row["validation"] for row in one.log] == [row["validation"] for row in two.log]


def test_t34_validation_images_are_as_they_are_and_never_trained_on(tmp_path):
    """T34: random flips left on in validation; and images on both sides of the line."""
    spec = spec_of(npz(tmp_path / "images.npz", noise(60), noise(20, seed=1)))
    data = load_data(spec.data, validation=0.3, protocol="grey")
    recorder = Recorder(Elbo())
    model, (_, last) = fitted(spec, data, tmp_path, recorder, build())
    seen = {image.numpy().tobytes() for x, _ in recorder.seen for image in x}
    assert data.validation is not None
    held, given = x_of(data.validation), x_of(data.train)
    assert seen == {image.numpy().tobytes() for image in given}
    assert not seen & {image.numpy().tobytes() for image in held}
    assert len(held) == 18
    kl = by_hand(model, held, torch.zeros(1, 18, 2)).kl.mean().item()
    assert last["validation"]["rate"] == pytest.approx(kl, rel=1e-5)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_t39_splits_owe_nothing_to_the_global_generators(protocol, tmp_path):
    """T39: images paired and split by numpy's global generator, differently in each process."""
    levels = np.arange(50, dtype=np.uint8) * 5
    images = np.broadcast_to(levels[:, None, None, None], (50, 1, 4, 4))
    np.savez(tmp_path / "images.npz", images=images, labels=levels.astype(int))
    digests = set()
    for seed in (1, 2):
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)
        before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
        data = load_data(f"npz:{tmp_path / 'images.npz'}", validation=0.2, protocol=protocol)
        assert (np.random.get_state()[1] == before[0]).all()  # noqa: NPY002
        assert torch.equal(torch.get_rng_state(), before[1])
        assert data.validation is not None
        parts = (data.train, data.validation, data.test)
        digests.add(tuple(part.sha256 for part in parts))
        assert sorted(np.concatenate([part.labels for part in parts])) == levels.tolist()
        if PROTOCOLS[protocol].levels != "binary" or protocol == "binary-dynamic":  # levels as they were
            assert all((part.images[:, 0, 0, 0] == part.labels).all() for part in parts)
    assert len(digests) == 1


def test_t39_a_run_owes_nothing_to_the_global_generators(tmp_path):
    """T39: the same, of training and evaluation."""
    spec = spec_of(npz(tmp_path / "images.npz", noise(30), noise(10))).model_copy(update={"protocol": "binary-dynamic"})
    metrics = []
    for seed in (1, 2):
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)
        metrics.append(train(spec, tmp_path / str(seed), compile="never").metrics)
    assert metrics[0] == metrics[1]


class Payload:
    """What runs when it is read back from a pickle."""

    ran = False

    def __reduce__(self):
        return (setattr, (Payload, "ran", True))


def test_t42_no_pickle_is_read_or_written_from_training_to_the_model_s_return(tmp_path, monkeypatch):
    """T42: pickled architectures among shared weights: code in a file, and bound to one version of Python."""

    def forbidden(*args, **options):
        raise AssertionError("a pickle")

    for module, names in ((pickle, ("load", "loads", "dump", "dumps")), (torch, ("load", "save"))):
        for name in names:
            monkeypatch.setattr(module, name, forbidden)
    spec = spec_of(npz(tmp_path / "images.npz", noise(30), noise(10)))
    run = train(spec, tmp_path, compile="never")
    assert run.model().latent == 2
    assert {path.suffix for path in run.path.iterdir()} - {""} == {".json", ".jsonl", ".safetensors"}


def test_t42_a_pickle_in_the_place_of_weights_or_images_is_refused(tmp_path):
    """T42: as above, of a file from elsewhere."""
    spec = spec_of(npz(tmp_path / "images.npz", noise(30), noise(10)))
    run = train(spec, tmp_path, compile="never")
    torch.save({"payload": Payload()}, run.path / "model.safetensors")
    with pytest.raises(RunError, match="damaged"):
        Run(run.path).model()
    np.savez(tmp_path / "objects.npz", images=np.array([Payload()], dtype=object))
    (tmp_path / "plain.npz").write_bytes(pickle.dumps(Payload()))
    for name in ("objects", "plain"):
        with pytest.raises(DataError):
            load_data(f"npz:{tmp_path / name}.npz")
    assert not Payload.ran
