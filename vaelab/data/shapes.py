"""Images with known generative factors: shape, colour, size, orientation and position.

They are like dSprites (Matthey et al. 2017), but in colour and 32 x 32. Every combination of values occurs exactly
once, and no two give the same image. The angles span 140 degrees. An ellipse looks the same after 180 degrees, so
orientation is a segment and not a circle. One latent dimension can therefore hold each factor except colour and shape,
which have no order.
"""

from itertools import product
from math import pi

import numpy as np

from vaelab.data.dataset import Contents, raw

SIDE = 32  # pixels
SHAPES = ("ellipse", "heart", "triangle")
COLOURS = np.array([(235, 94, 85), (244, 190, 66), (74, 188, 140), (92, 139, 240)])  # coral, amber, green, blue
BACKGROUND = np.array((28, 30, 38))
RADII = (4.5, 6.0, 7.5, 9.0)  # radius of the circle around a shape, in pixels
ANGLES = tuple(20 * (i - 3.5) * pi / 180 for i in range(8))  # -70 to 70 degrees, clockwise
CENTRES = range(9, 24, 2)  # columns from the left and rows from the top, in pixels
FACTORS = {
    "shape": len(SHAPES),
    "colour": len(COLOURS),
    "size": len(RADII),
    "orientation": len(ANGLES),
    "x": len(CENTRES),
    "y": len(CENTRES),
}
FINE = 8  # points across a pixel; the share of them inside the shape is the pixel's coverage


def read() -> Contents:
    """Draw all 24,576 images [3, 32, 32]; the last factor changes fastest. The label is the index of the shape."""
    patches = _patches()
    span = patches.shape[-1]
    images = np.empty((*FACTORS.values(), 3, SIDE, SIDE), np.uint8)
    images[...] = BACKGROUND[:, None, None]
    for (x, column), (y, row) in product(enumerate(CENTRES), repeat=2):
        left, top = column - span // 2, row - span // 2
        images[..., x, y, :, top : top + span, left : left + span] = patches
    factors = np.indices(tuple(FACTORS.values())).reshape(len(FACTORS), -1).T
    stored = images.reshape(-1, 3, SIDE, SIDE)
    return Contents(raw("shapes", stored, factors[:, 0], factors=factors, factor_names=tuple(FACTORS)))


def _patches() -> np.ndarray:
    """Draw each shape in the centre of a square, uint8 [shape, colour, size, orientation, 3, P, P]."""
    span = 2 * int(max(RADII))
    fine = (np.arange(span * FINE) + 0.5) / FINE - span / 2  # pixels from the centre
    radius, angle, down, right = np.meshgrid(RADII, ANGLES, fine, fine, indexing="ij", sparse=True)
    u = (np.cos(angle) * right + np.sin(angle) * down) / radius  # along the shape's own axes, u right and v up
    v = (np.sin(angle) * right - np.cos(angle) * down) / radius
    inside = np.stack([_ellipse(u, v), _heart(u, v), _triangle(u, v)])
    coverage = inside.reshape(*inside.shape[:3], span, FINE, span, FINE).mean((4, 6))
    ink = (COLOURS - BACKGROUND)[:, None, None, :, None, None]
    return np.round(BACKGROUND[:, None, None] + coverage[:, None, :, :, None] * ink).astype(np.uint8)


# Which points (u, v) are inside a shape; each shape fits into the unit circle.
def _ellipse(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return (u / 0.55) ** 2 + v**2 <= 1


def _heart(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    a, b = 1.28 * u, 1.28 * v + 0.12
    return (a**2 + b**2 - 1) ** 3 <= a**2 * b**3


def _triangle(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return (v >= -0.75) & (np.abs(u) <= 0.66 * (1 - v) / 1.75)
