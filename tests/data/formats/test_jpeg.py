"""Small JPEGs have a reader of their own. It gives what Pillow's reader gives, or nothing."""

import io
from collections.abc import Iterator
from random import Random

import numpy as np
import pytest
from PIL import Image

from vaelab.data.conversion import AS_STORED, Conversion, Converted, Resize
from vaelab.data.formats import picture
from vaelab.data.formats.jpeg import LARGEST_BYTES, small_jpeg
from vaelab.system.errors import DataError

LEVELS = np.random.default_rng(0).integers(0, 256, (17, 23, 4), np.uint8)
TURNED = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"  # a camera that was held upright


def jpeg(mode: str = "RGB", levels: np.ndarray = LEVELS, **options: object) -> bytes:
    bands = {"L": levels[..., 0], "RGB": levels[..., :3], "CMYK": levels}
    file, (height, width) = io.BytesIO(), levels.shape[:2]
    Image.frombytes(mode, (width, height), bands[mode].tobytes()).save(file, "JPEG", **options)
    return file.getvalue()


FRAME = b"\xff\xc0\0\x0b\x08\0\x05\0\x05\x01\1\x11\0"

PLAIN = {
    "RGB": jpeg(),
    "grey": jpeg("L"),
    "progressive": jpeg(progressive=True),
    "all colours": jpeg(subsampling=0, quality=100),
    "own tables": jpeg(optimize=True, quality=30),
    "restarts": jpeg(restart_marker_blocks=2),
    "comment": jpeg(comment=b"a comment"),
    "resolution": jpeg(dpi=(72, 72)),
    "Adobe": jpeg(keep_rgb=True),
}
OTHERS = {
    "turned": jpeg(exif=TURNED),
    "colour profile": jpeg(icc_profile=b"profile" * 10),
    "CMYK": jpeg("CMYK"),
    "large": jpeg(levels=np.random.default_rng(1).integers(0, 256, (300, 300, 4), np.uint8), quality=100),
    "cut": jpeg()[:-30],
    "without an end": jpeg()[:-2],
    "short JFIF": jpeg().replace(b"\xff\xdb", b"\xff\xe0\0\7JFIF\0\xff\xdb", 1),
    "short Adobe": jpeg().replace(b"\xff\xdb", b"\xff\xee\0\7Adobe\xff\xdb", 1),
    "two frames": jpeg().replace(b"\xff\xc4", FRAME + b"\xff\xc4", 1),
}


def read(content: bytes, conversion: Conversion = AS_STORED) -> tuple[object, ...]:
    """All that is known of an image, or the error."""
    try:
        found: Converted = picture.decoded("a.jpg", conversion, content)
    except DataError as error:
        return (str(error),)
    return found.levels.tobytes(), found.levels.shape, found.size, found.changes


@pytest.fixture
def by_pillow(monkeypatch) -> Iterator[pytest.MonkeyPatch]:
    """A context in which no small JPEG is read in its own way."""
    with picture.without_warnings(), monkeypatch.context() as patch:
        yield patch


CONVERSIONS = [
    AS_STORED,
    Conversion(Resize(8, 8)),
    Conversion(Resize(9, 5, crop=True), grey=True),
    Conversion(None, True),
]


@pytest.mark.parametrize("conversion", CONVERSIONS, ids=str)
@pytest.mark.parametrize("name", [*PLAIN, *OTHERS])
def test_every_jpeg_is_read_as_pillow_reads_it(name: str, conversion: Conversion, by_pillow: pytest.MonkeyPatch):
    content = (PLAIN | OTHERS)[name]
    assert (small_jpeg(content, 1000) is not None) == (name in PLAIN)
    ours = read(content, conversion)
    by_pillow.setattr(picture, "small_jpeg", lambda content, most_pixels: None)
    assert ours == read(content, conversion)


def mutations(content: bytes, random: Random) -> bytes:
    """The file with a few bytes changed, lost or added, most of them before the pixels."""
    bytes_ = bytearray(content)
    for _ in range(random.randint(1, 3)):
        before = bytes_.find(b"\xff\xda") + 14
        at = random.randrange(before if before > 14 and random.random() < 0.8 else len(bytes_))
        match random.randrange(4):
            case 0:
                del bytes_[at : at + random.randint(1, 20)]
            case 1:
                bytes_[at:at] = random.randbytes(random.randint(1, 8))
            case 2:
                bytes_[at] ^= 1 << random.randrange(8)
            case 3:
                bytes_[at] = random.choice((0, 1, 255, 0xC0, 0xDA, 0xE0, 0xE1))
        if len(bytes_) < 20:
            break
    return bytes(bytes_)


def test_a_damaged_jpeg_is_read_or_refused_as_by_pillow(by_pillow: pytest.MonkeyPatch):
    random = Random(0)
    files = [mutations(random.choice(list(PLAIN.values())), random) for _ in range(3000)]
    ours = [read(content) for content in files]
    assert sum(small_jpeg(content, picture.UNCHECKED_PIXELS) is not None for content in files) > 200
    by_pillow.setattr(picture, "small_jpeg", lambda content, most_pixels: None)
    different = [content for content, our in zip(files, ours, strict=True) if our != read(content)]
    assert not different


def test_a_small_file_that_claims_many_pixels_is_left_to_the_checks_of_sizes(refused):
    content = PLAIN["RGB"].replace(b"\0\x11\x08" + bytes((0, 17, 0, 23)), b"\0\x11\x08" + b"\xff\xff\xff\xff")
    assert content != PLAIN["RGB"]
    assert len(content) < LARGEST_BYTES
    assert small_jpeg(content, picture.UNCHECKED_PIXELS) is None
    with picture.without_warnings(), refused(DataError, "a.jpg", "more than 178,956,970 pixels"):
        picture.decoded("a.jpg", AS_STORED, content)
