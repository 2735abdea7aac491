"""Images in the page have the same pixels as their files, in fewer bytes."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from vaelab.reports.pictures import as_uri


def opened(uri: str) -> tuple[str, np.ndarray]:
    head, _, content = uri.partition(",")
    with Image.open(io.BytesIO(base64.b64decode(content))) as image:
        return head, np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("channels", [1, 3])
def test_no_pixel_changes(channels) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, channels), np.uint8).repeat(4, 0).repeat(4, 1)
    pixels = pixels.repeat(4 - channels, 2)[..., :3]  # small enough to be kept exactly
    image = Image.fromarray(pixels)
    head, found = opened(as_uri(image))
    assert (found == pixels).all()
    png = io.BytesIO()
    image.save(png, "png")
    assert len(as_uri(image)) * 3 / 4 < 1.02 * len(png.getvalue())
    assert head in ("data:image/png;base64", "data:image/webp;base64")


def test_the_smaller_format_is_taken() -> None:
    flat, smooth = Image.new("L", (9, 9)), Image.radial_gradient("L").resize((300, 300))
    heads = {opened(as_uri(image))[0] for image in (flat, smooth)}
    for image in (flat, smooth):
        sizes = dict[str, int]()
        for kind, options in (("png", {"optimize": True}), ("webp", {"lossless": True, "quality": 75, "method": 2})):
            buffer = io.BytesIO()
            image.save(buffer, kind, **options)
            sizes[f"data:image/{kind};base64"] = buffer.tell()
        assert opened(as_uri(image))[0] == min(sizes, key=lambda kind: sizes[kind])
    assert heads


@pytest.mark.parametrize("channels", [1, 3])
def test_a_large_image_is_smaller_and_looks_the_same(channels) -> None:
    ramp = np.linspace(40, 200, 200)
    smooth = np.stack(np.broadcast_arrays(ramp[:, None], ramp, ramp[::-1, None]), -1)[..., :channels]
    noise = np.random.default_rng(0).normal(0, 4, (200, 200, 1))
    pixels = (smooth + noise).astype(np.uint8).repeat(2, 0).repeat(2, 1)
    image = Image.fromarray(pixels.squeeze())
    head, found = opened(as_uri(image))
    assert head == "data:image/webp;base64"
    assert 0 < np.abs(found[..., :channels].astype(int) - pixels).mean() < 3.5
    exact = as_uri(image, 10**6)
    assert len(as_uri(image)) < len(exact) / 2
    assert (opened(exact)[1][..., :channels] == pixels).all()
