"""How different two colours look, with normal and with colour-blind vision.

Protanopia and deuteranopia: Viénot, Brettel and Mollon (1999). Tritanopia: Brettel, Viénot and Mollon (1997). In the
space of cone responses (L, M, S), a person without one kind of cone confuses all colours that differ only in it. Each
is shown as the colour on the plane through black, white and an anchor that this person sees as others do.
"""

import numpy as np

XYZ_OF_RGB = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])  # sRGB, linear
LMS_OF_XYZ = np.array(
    [[0.15514, 0.54312, -0.03286], [-0.15514, 0.45684, 0.03286], [0, 0, 0.01608]]
)  # Smith and Pokorny
LMS_OF_RGB = LMS_OF_XYZ @ XYZ_OF_RGB
WHITE = LMS_OF_RGB @ np.ones(3)
BLUE = LMS_OF_RGB @ np.array([0, 0, 1])
CYAN_485_NM, RED_660_NM = (LMS_OF_XYZ @ np.array(xyz) for xyz in ([0.05795, 0.1693, 0.6162], [0.1649, 0.061, 0]))
VISIONS = ("normal", "protanopia", "deuteranopia", "tritanopia")


def seen(hexes: list[str], vision: str) -> np.ndarray:
    """The colours, as "#rrggbb", in CIELAB [N, 3] (D65) as a person with this vision sees them."""
    coded = np.array([[int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)] for text in hexes])
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    lms = linear @ LMS_OF_RGB.T
    if vision == "protanopia":
        lms = lms @ _onto_plane(0, BLUE).T
    elif vision == "deuteranopia":
        lms = lms @ _onto_plane(1, BLUE).T
    elif vision == "tritanopia":
        reddish = lms[:, :1] * WHITE[1] > lms[:, 1:2] * WHITE[0]
        lms = np.where(reddish, lms @ _onto_plane(2, RED_660_NM).T, lms @ _onto_plane(2, CYAN_485_NM).T)
    return _lab(lms @ np.linalg.inv(LMS_OF_RGB).T)


def _onto_plane(missing: int, anchor: np.ndarray) -> np.ndarray:
    """Replace the response of the missing cone by that of the plane through black, white and the anchor: [3, 3]."""
    normal, matrix = np.cross(WHITE, anchor), np.eye(3)
    matrix[missing] = -normal / normal[missing]
    matrix[missing, missing] = 0
    return matrix


def _lab(linear: np.ndarray) -> np.ndarray:
    xyz = np.clip(linear, 0, 1) @ XYZ_OF_RGB.T / (XYZ_OF_RGB @ np.ones(3))
    x, y, z = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29).T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """CIEDE2000 between two colours in CIELAB [3]; 1 is about the smallest difference that can be seen."""
    chroma = np.hypot(one[1], one[2]) / 2 + np.hypot(other[1], other[2]) / 2
    stretch = 1 + (1 - np.sqrt(chroma**7 / (chroma**7 + 25.0**7))) / 2
    (l1, c1, h1), (l2, c2, h2) = (
        (lab[0], np.hypot(lab[1] * stretch, lab[2]), np.degrees(np.arctan2(lab[2], lab[1] * stretch)) % 360)
        for lab in (one, other)
    )
    turn = (h2 - h1 + 180) % 360 - 180 if c1 * c2 else 0.0
    lightness, c, hue = (l1 + l2) / 2, (c1 + c2) / 2, (h1 + turn / 2 if c1 * c2 else h1 + h2) % 360
    waves = ((-0.17, 1, -30), (0.24, 2, 0), (0.32, 3, 6), (-0.2, 4, -63))
    t = 1 + sum(height * np.cos(np.radians(times * hue + shift)) for height, times, shift in waves)
    dl = (l2 - l1) / (1 + 0.015 * (lightness - 50) ** 2 / np.sqrt(20 + (lightness - 50) ** 2))
    dc = (c2 - c1) / (1 + 0.045 * c)
    dh = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2)) / (1 + 0.015 * c * t)
    rotation = 2 * np.sqrt(c**7 / (c**7 + 25.0**7)) * np.sin(np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2))))
    return float(np.sqrt(dl**2 + dc**2 + dh**2 - rotation * dc * dh))
