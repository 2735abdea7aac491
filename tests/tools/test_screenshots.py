"""The pictures of docs/images: small files, and each is shown on a page."""

import io

import numpy as np
from PIL import Image

from tools.screenshots import FOLDER, MOST, SCREENS, write


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def test_a_screenshot_is_kept_exactly_if_it_is_small(tmp_path, capsys) -> None:
    plain = np.full((400, 600, 3), 200, np.uint8)
    busy = np.random.default_rng(0).integers(0, 40, (400, 600, 3), np.uint8)
    for pixels, exact in ((plain, True), (busy, False)):
        path = tmp_path / "screen.webp"
        write(png(pixels), path)
        assert path.stat().st_size <= MOST
        with Image.open(path) as image:
            assert bool((np.asarray(image) == pixels).all()) == exact


def test_the_pictures_are_small_and_shown() -> None:
    pages = "".join(path.read_text() for path in (FOLDER.parents[1] / "README.md", *FOLDER.parent.glob("*.md")))
    found = {path.name for path in FOLDER.iterdir()}
    assert found >= {f"demo-{name}.webp" for name in SCREENS}
    for path in FOLDER.iterdir():
        assert path.stat().st_size <= MOST
        assert f"images/{path.name}" in pages
