"""What a stranger reads about pixels is what the protocols do."""

import numpy as np
import pytest
import torch

from vaelab.data.protocol import PROTOCOLS
from vaelab.serving.export.pixels import READINGS


def test_every_protocol_has_a_reading():
    assert READINGS.keys() == PROTOCOLS.keys()


@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_numpy_expression_gives_the_pixels_of_the_protocol(name):
    u = np.tile(np.arange(256, dtype=np.uint8), (400, 1)).reshape(400, 1, 16, 16)
    found = eval(READINGS[name].numpy, {"np": np, "u": u, "rng": np.random.default_rng(0)})
    protocol = PROTOCOLS[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        expected = protocol.pixels(torch.from_numpy(protocol.prepare(u, 0))).numpy()
    assert found.dtype == expected.dtype == np.float32
    if name in ("grey", "levels", "binary-threshold"):
        np.testing.assert_allclose(found, expected, atol=1e-7)
    else:  # the mean of each level over 400 draws, within five standard errors of their difference
        limit = 5 * np.sqrt(2 / 400) * (0.5 if name.startswith("binary") else 1 / 256)
        assert abs(found.mean(0) - expected.mean(0)).max() < limit
        assert 0 <= found.min() <= found.max() <= 1
        assert found.std() == pytest.approx(expected.std(), abs=0.01)
