import numpy as np
import pytest
import torch

from vaelab.data.dataset import Dataset, Splits
from vaelab.data.protocol import PROTOCOLS, protocol, with_protocol
from vaelab.system.errors import SpecError

EVERY_LEVEL = np.arange(256, dtype=np.uint8).reshape(256, 1, 1, 1)


def pixels(name: str, images: np.ndarray, draws: int = 1) -> torch.Tensor:
    """Values [draws, N, C, H, W] after the preparation with seed 0."""
    torch.manual_seed(0)
    chosen = protocol(name)
    prepared = torch.from_numpy(chosen.prepare(images, 0))
    return torch.stack([chosen.pixels(prepared) for _ in range(draws)])


@pytest.mark.parametrize("name", PROTOCOLS)
def test_values_are_what_the_protocol_says(name: str):
    values = pixels(name, EVERY_LEVEL, 20)
    assert values.dtype == torch.float32
    assert values.shape == (20, 256, 1, 1, 1)
    match PROTOCOLS[name].levels:
        case "binary":
            assert set(values.unique().tolist()) == {0.0, 1.0}
        case "grey" | "256":
            torch.testing.assert_close(values[0].flatten(), torch.arange(256) / 255, rtol=0, atol=0)
        case "8bit":
            # Each value lies in the bin of its own level, even where float32 would round up out of it.
            assert torch.equal((values * 256).floor(), torch.arange(256.0).view(1, 256, 1, 1, 1).expand_as(values))


def test_every_protocol_is_in_the_table_under_its_name():
    assert list(PROTOCOLS) == ["binary-dynamic", "binary-static", "binary-threshold", "grey", "levels", "8bit"]
    assert all(name == entry.name and entry.summary for name, entry in PROTOCOLS.items())


def test_white_stays_below_one_after_dequantisation():
    white = torch.full((64, 1, 64, 64), 255, dtype=torch.uint8)
    torch.manual_seed(0)
    values = PROTOCOLS["8bit"].pixels(white)
    assert values.max() < 1
    assert values.min() >= 255 / 256
    # uniform on the bin: mean and variance within 5 standard errors
    noise = (values.double() * 256 - 255).flatten()
    assert abs(noise.mean() - 0.5) < 5 * (1 / 12 / noise.numel()) ** 0.5
    assert abs(noise.var() - 1 / 12) < 5 * (1 / 180 / noise.numel()) ** 0.5


@pytest.mark.parametrize("noise", [0.0, 2**-24, 0.5, 1 - 2**-24])
def test_no_noise_of_dequantisation_gives_0_or_1_or_another_level(monkeypatch, noise):
    """The least and the greatest that torch draws: a density may have no bound at 0 and 1."""
    monkeypatch.setattr(torch.Tensor, "uniform_", lambda self: self.fill_(noise))
    values = PROTOCOLS["8bit"].pixels(torch.from_numpy(EVERY_LEVEL)).flatten()
    assert values.min() > 0
    assert values.max() < 1
    assert torch.equal((values * 256).floor(), torch.arange(256.0))
    plain = (torch.arange(256.0) + torch.tensor(noise) * (1 - 2**-16)) / 256
    assert torch.equal(values[1:], plain[1:])  # level 0 alone is moved


@pytest.mark.parametrize("name", ["binary-dynamic", "binary-static"])
def test_a_drawn_pixel_is_white_with_chance_u_over_255(name: str):
    count = 4000
    values = pixels(name, EVERY_LEVEL.repeat(count, axis=3))
    white, chance = values.double().mean((0, 2, 3, 4)), torch.arange(256) / 255
    standard_error = (chance * (1 - chance) / count).sqrt()
    assert ((white - chance).abs() <= 5 * standard_error).all()  # exactly 0 and 1 at the ends


def test_dynamic_draws_differ_from_step_to_step_and_static_ones_do_not():
    grey = np.full((1, 1, 16, 16), 128, np.uint8)
    dynamic, static = pixels("binary-dynamic", grey, 2), pixels("binary-static", grey, 2)
    assert not torch.equal(dynamic[0], dynamic[1])
    assert torch.equal(static[0], static[1])


def test_threshold_is_at_128():
    values = pixels("binary-threshold", EVERY_LEVEL).flatten()
    assert values.tolist() == [0.0] * 128 + [1.0] * 128


@pytest.mark.parametrize("name", PROTOCOLS)
def test_pixels_compile_whole_and_agree_with_eager(name: str):
    images = torch.from_numpy(PROTOCOLS[name].prepare(EVERY_LEVEL, 0))
    compiled = torch.compile(PROTOCOLS[name].pixels, fullgraph=True, backend="aot_eager")
    torch.manual_seed(1)
    eager_values = PROTOCOLS[name].pixels(images)
    torch.manual_seed(1)
    torch.testing.assert_close(compiled(images), eager_values, rtol=0, atol=0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")  # from torch itself
def test_dequantisation_survives_the_real_compiler():
    compiled = torch.compile(PROTOCOLS["8bit"].pixels, fullgraph=True)
    values = compiled(torch.full((8, 1, 256, 256), 255, dtype=torch.uint8))
    assert 255 / 256 <= values.min() < values.max() < 1


def grey_splits() -> Splits:
    images = np.full((4, 1, 16, 16), 128, np.uint8)
    train, validation, test = (Dataset("x", s, images, None, "grey") for s in ("train", "validation", "test"))
    return Splits(train, validation, test)


def test_static_noise_is_a_function_of_seed_and_split():
    first, again, other = (with_protocol(grey_splits(), "binary-static", seed) for seed in (0, 0, 1))
    assert first.validation is not None
    assert first.train.sha256 == again.train.sha256 != other.train.sha256
    assert len({first.train.sha256, first.validation.sha256, first.test.sha256}) == 3
    assert set(np.unique(first.test.images)) == {0, 255}
    assert first.test.protocol == "binary-static"


def test_dynamic_leaves_the_stored_levels_alone():
    splits = with_protocol(grey_splits(), "binary-dynamic", 0)
    assert splits.test.sha256 == grey_splits().test.sha256
    assert splits.test.protocol == "binary-dynamic"


def test_an_unknown_protocol_is_refused_with_the_known_names(refused):
    with refused(SpecError, "'binary'", *PROTOCOLS):
        protocol("binary")
    with refused(SpecError, "'gray'"):
        with_protocol(grey_splits(), "gray", 0)
