"""Whatever a user may choose has an effect, and only the effect that was chosen."""

import inspect
from pathlib import Path

import pytest
from PIL import Image

from tests.built import completed, load_splits
from tests.traps.small import fitted, noise, npz, spec_of, splits
from vaelab.data.protocol import PROTOCOLS
from vaelab.evaluation.likelihood.likelihood import estimate_bounds
from vaelab.networks import NETWORKS
from vaelab.runs.blueprint import TABLES
from vaelab.runs.spec import Spec
from vaelab.runs.train import train
from vaelab.system.errors import DataError

# A second choice for each field of a Spec, beside that of `spec_of`.
FIELDS = {
    "epochs": 3.0, "batch": 9, "learning_rate": 2e-2, "schedule": "cosine", "clip_norm": 1.0, "ema_decay": 0.9,
    "precision": "bfloat16", "patience": 0.1, "validate_every": 0.5, "seed": 1, "start": "zero",
    "data": "npz:other.npz", "protocol": "binary-threshold", "validation": 0.3, "split_seed": 1, "latent": 3,
    "network": "mlp:hidden=9", "likelihood": "gaussian", "posterior": "tests.traps.own:Narrow",
    "prior": "tests.traps.own:Wide", "objective": "iwae", "nll_samples": 4, "refit": "mixture:components=2",
    "model": "tests.traps.own:bold", "condition": "labels", "shards": 2,
}  # fmt: skip
# ... and for those that change how a folder is read, or what is held out of it
OF_FOLDERS = {
    "resize": "4x4", "grey": True, "convert": True, "labels": "name:(.)", "test": 0.5, "stratify": True,
}  # fmt: skip
# ... and for each option of each part, beside its default.
OPTIONS = {
    "likelihood gaussian": {"sigma": "pixel", "mean": "free"},
    "likelihood laplace": {"scale": "pixel"},
    "likelihood student-t": {"df": "9", "scale": "pixel"},
    "likelihood beta": {"concentration": "pixel"},
    "likelihood discretised-gaussian": {"sigma": "pixel"},
    "likelihood logistic": {"components": "2", "scale": "pixel", "channels": "coupled"},
    "posterior flow": {"transforms": "1", "hidden": "9", "context": "2"},
    "posterior codes": {"size": "3", "levels": "2", "halvings": "1", "decay": "0.5", "restart": "0.97"},
    "prior transformer": {"width": "8", "layers": "1"},
    "prior mixture": {"components": "3"},
    "prior vamp": {"components": "3"},
    "prior flow": {"transforms": "1", "hidden": "9"},
    "model ladder": {"groups": "2", "above": "3:groups=2"},
    "network mlp": {"hidden": "9,8", "activation": "relu"},
    "network conv": {"channels": "4,4", "hidden": "8", "activation": "tanh"},
    "network residual": {
        "channels": "8,8",
        "blocks": "2",
        "groups": "4",
        "hidden": "8",
        "activation": "relu",
    },
    "network article-conv": {"maps": "3", "hidden": "8", "activation": "tanh"},
    "objective elbo": {"samples": "2", "kl": "sampled"},
    "objective beta": {"beta": "2", "warmup": "5", "cycle": "6:warmup=5", "free_nats": "0.5", "samples": "2"},
    "objective capacity": {"gamma": "3", "capacity": "5", "steps": "7"},
    "objective iwae": {"samples": "2", "gradient": "dreg"},
    "objective miwae": {"samples": "2", "bounds": "2"},
    "objective ciwae": {"samples": "2", "beta": "0.5"},
    "objective piwae": {"samples": "2", "bounds": "2"},
    "objective beta-tc": {"alpha": "2", "beta": "2", "gamma": "2"},
    "objective factor": {"gamma": "2", "hidden": "5"},
    "objective dip": {"kind": "2", "off_diagonal": "2", "diagonal": "2"},
    "objective mmd": {"alpha": "1", "weight": "2", "kernel": "rbf"},
    "objective mcem": {"moves": "2", "leapfrog": "2"},
    "objective commitment": {"weight": "2"},
    "schedule cosine": {"warmup": "0.5", "final": "0.5"},
    "schedule step": {"at": "0.3", "factor": "0.5"},
}
# ... and what else a Spec must say for a part: pixels that it describes, and channels to be coupled.
BESIDE = {
    "posterior codes": {"prior": "codes"},
    "prior transformer": {"posterior": "codes"},
    "objective commitment": {"posterior": "codes", "prior": "codes"},
    "likelihood beta": {"protocol": "8bit"},
    "likelihood discretised-gaussian": {"protocol": "levels"},
    "likelihood logistic": {"protocol": "levels", "data": "npz:colours.npz"},
}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """What a Spec gives: the terms in its log and its metrics, without whatever only repeats the Spec."""
    folder, known = tmp_path_factory.mktemp("options"), dict[str, tuple]()
    npz(folder / "images.npz", noise(40, (1, 8, 8)), noise(10, (1, 8, 8), seed=1))
    npz(folder / "other.npz", noise(40, (1, 8, 8), seed=2), noise(10, (1, 8, 8), seed=1))
    npz(folder / "colours.npz", noise(40, (3, 4, 4)), noise(10, (3, 4, 4), seed=1))

    def give(update: dict) -> tuple:
        spec = spec_of().model_copy(update={"data": "npz:images.npz", **update})
        spec = spec.model_copy(update={"data": spec.data.replace("npz:", f"npz:{folder}/")})
        if spec.hash not in known:
            run = train(spec, folder, compile="never")
            terms = [{**row["train"], **row["validation"]} for row in run.log]
            metrics = {metric.name: metric.value for metric in run.metrics}
            known[spec.hash] = terms, metrics
        return known[spec.hash]

    return give


def test_t35_no_field_is_left_out_of_this_test():
    """T35: a hyper-parameter that nobody reads, found by those who chose it."""
    assert FIELDS.keys() | OF_FOLDERS.keys() == Spec.model_fields.keys()
    options = {}
    for kind, table in TABLES.items():
        for name, constructor in table.items():
            parameters = inspect.signature(constructor).parameters.values()
            if names := {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}:
                options[f"{kind} {name}"] = names
    assert {part: set(values) for part, values in OPTIONS.items()} == options


@pytest.mark.thorough(0.3)
@pytest.mark.parametrize("field", FIELDS)
def test_t35_every_field_of_a_spec_changes_something(outcome, field):
    """T35: a hyper-parameter accepted and ignored."""
    assert outcome({field: FIELDS[field]}) != outcome({})


@pytest.mark.parametrize("field", OF_FOLDERS)
def test_t35_every_field_about_a_folder_changes_what_is_read(tmp_path, field):
    """T35: the same, of files. Without --convert, the transparent image is refused."""
    for number, pixels in enumerate(noise(12, (3, 8, 8)).transpose(0, 2, 3, 1)):
        (tmp_path / "ab"[number % 2]).mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "ab"[number % 2] / f"{number}.png")
    if field == "convert":
        Image.new("RGBA", (8, 8)).save(tmp_path / "a" / "clear.png")

    def read(**fields: object) -> tuple[str, ...]:
        try:
            found = load_splits(completed(Spec(data=f"folder:{tmp_path}", **fields)))
        except DataError:
            return ()
        return found.train.sha256, found.test.sha256, str(found.train.class_names)

    assert read(**{field: OF_FOLDERS[field]}) not in (read(), ())


@pytest.mark.thorough(0.1, kinds=lambda part, option, value: [part.split()[0]])
@pytest.mark.parametrize(
    ("part", "option", "value"), [(part, o, v) for part, values in OPTIONS.items() for o, v in values.items()]
)
def test_t35_every_option_of_every_part_changes_something(outcome, part, option, value):
    """T35: the same, of an option."""
    kind, name = part.split()
    context = BESIDE.get(part, {})
    value, *beside = value.split(":")  # another option that it needs, and that must not be what changes something
    plain = ":".join([name, *beside])
    default = f"{plain}:components=20" if name == "vamp" else plain  # 36 images are fewer than its own
    assert outcome({kind: f"{plain}:{option}={value}", **context}) != outcome({kind: default, **context})


def test_t35_the_same_spec_gives_the_same_numbers(outcome, tmp_path):
    """T35: so that a difference in these tests is the option's."""
    spec = spec_of(npz(tmp_path / "again.npz", noise(40, (1, 8, 8)), noise(10, (1, 8, 8), seed=1)))
    run = train(spec, Path(tmp_path), compile="never")
    assert [{**row["train"], **row["validation"]} for row in run.log] == outcome({})[0]


@pytest.mark.parametrize("name", NETWORKS)
def test_t36_what_the_caller_gives_is_left_as_it_was(name):
    """T36: a list of sizes reversed in place for the decoder, so that the second model is built the other way round."""
    options = {"hidden": [9, 6], **({"channels": [16, 8]} if name in ("conv", "residual") else {})}
    recipe = NETWORKS[name](**options)

    def shapes() -> list[tuple[int, ...]]:
        pair = recipe.encoder((1, 8, 8), (4,)), recipe.decoder((2,), (1, 8, 8))
        return [tuple(p.shape) for network in pair for p in network.parameters()]

    first, second = shapes(), shapes()
    assert first == second
    assert options["hidden"] == [9, 6]
    assert options.get("channels", [16, 8]) == [16, 8]
    widths = [shape[0] for shape in first if len(shape) == 1]  # of the biases, layer by layer
    assert [w for w in widths if w in (6, 9)] == [9, 6, 6, 9]  # there and back


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_t36_images_are_left_as_they_were(protocol, tmp_path):
    """T36: the same, of the images that training and evaluation are given."""
    data = splits(protocol)
    assert data.validation is not None
    parts = (data.train, data.validation, data.test)
    before = [part.images.copy() for part in parts]
    spec = completed(spec_of().model_copy(update={"protocol": protocol, "likelihood": ""}))  # one of these pixels
    model, _ = fitted(spec, data, tmp_path)
    estimate_bounds(model, data.test, 2, seed=0)
    for part, images in zip(parts, before, strict=True):
        assert (part.images == images).all()
