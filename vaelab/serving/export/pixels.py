"""How pixels are read by each protocol, for a reader without vaelab: in words and as NumPy."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Reading:
    """How levels u = 0 to 255 become the input of an encoder.

    Arguments:
        words: a sentence.
        numpy: an expression of `u`, a uint8 array, `np`, and `rng`, a `numpy.random.Generator`.
    """

    words: str
    numpy: str


READINGS = {
    "binary-dynamic": Reading(
        "Draw each pixel: 1 with probability u / 255, else 0. Training draws again at each step.",
        "(rng.random(u.shape) < u / 255).astype(np.float32)",
    ),
    "binary-static": Reading(
        "Draw each pixel once: 1 with probability u / 255, else 0.",
        "(rng.random(u.shape) < u / 255).astype(np.float32)",
    ),
    "binary-threshold": Reading("A pixel is 1 where u is at least 128, else 0.", "(u >= 128).astype(np.float32)"),
    "grey": Reading("A pixel is u / 255.", "u.astype(np.float32) / 255"),
    "levels": Reading("A pixel is u / 255, one of 256 levels.", "u.astype(np.float32) / 255"),
    "8bit": Reading(
        "A pixel is (u + noise) / 256, with noise uniform on [0, 1): the level, dequantised.",
        "((u + rng.random(u.shape)) / 256).astype(np.float32)",
    ),
}
