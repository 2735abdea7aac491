import os
import struct
import time
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vaelab.data.conversion import AS_STORED
from vaelab.data.formats import decode, folder
from vaelab.data.formats.picture import FORMATS, SUFFIXES, picture
from vaelab.data.reading import parse_reading
from vaelab.system.errors import DataError

GREY = np.random.default_rng(0).integers(0, 256, (3, 6, 4), np.uint8)
RGB = np.random.default_rng(1).integers(0, 256, (3, 6, 4, 3), np.uint8)


def save(path: Path, array: np.ndarray, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("bytes_lost", [1, 4, 12, 16, 20, 40])
def test_a_png_that_was_cut_is_refused_wherever_the_cut_is(tmp_path: Path, refused, bytes_lost: int):
    path = save(tmp_path / "a.png", GREY[0])
    path.write_bytes(path.read_bytes()[:-bytes_lost])
    with refused(DataError, path, "damaged"):
        picture(path)


def test_images_are_read_in_the_order_of_their_paths(tmp_path: Path):
    for name, image in zip(["c.png", "a.PNG", "b.png"], GREY, strict=True):
        save(tmp_path / name, image)
    (tmp_path / "notes.txt").write_text("not an image, and not named like one")
    contents = folder.read(str(tmp_path))
    read = contents.train
    assert contents.test is contents.validation is None
    assert read.labels is None
    np.testing.assert_array_equal(read.images, GREY[[1, 2, 0], None], strict=True)


def test_rgb_is_channels_first_and_sub_folders_are_labels(tmp_path: Path):
    for name, image in zip(["dog/1.png", "cat/deep/2.png", "cat/1.png"], RGB, strict=True):
        save(tmp_path / name, image)
    (tmp_path / "ant").mkdir()  # without images: no class
    read = folder.read(str(tmp_path)).train
    np.testing.assert_array_equal(read.images, RGB[[2, 1, 0]].transpose(0, 3, 1, 2), strict=True)
    np.testing.assert_array_equal(read.labels, np.array([0, 0, 1]), strict=True)


SPLITS = [
    {"train": "train", "validation": "val", "test": "test"},
    {"train": "Train", "validation": "VALID", "test": "Test"},
    {"train": "training", "validation": "validation", "test": "testing"},
    {"train": "Training Set", "validation": "dev-images", "test": "test_data"},
    {"train": "train", "test": "test"},
    {"train": "train", "validation": "val"},
    {"train": "train"},
]


@pytest.mark.parametrize("names", SPLITS, ids=lambda names: " ".join(names.values()))
@pytest.mark.parametrize("classes", [True, False])
def test_folders_named_as_splits_are_the_splits(tmp_path: Path, names: dict[str, str], classes: bool):
    for at, name in enumerate(names.values()):
        for kind, image in (("cat", GREY[at]), ("dog", 255 - GREY[at])):
            save(tmp_path / name / (f"{kind}/deep/{kind}.png" if classes else f"{kind}.png"), image)
    contents = folder.read(str(tmp_path))
    parts = {"train": contents.train, "validation": contents.validation, "test": contents.test}
    assert {split for split, part in parts.items() if part is not None} == set(names)
    for at, split in enumerate(names):
        np.testing.assert_array_equal(parts[split].images, np.stack([GREY[at], 255 - GREY[at]])[:, None], strict=True)
        assert (parts[split].labels is None) != classes
        assert not classes or parts[split].labels.tolist() == [0, 1]
    assert contents.class_names == ({0: "cat", 1: "dog"} if classes else {})


def tree(root: Path, *names: str) -> str:
    """Images of these names, each unlike the others; a name that ends in "/" is an empty folder."""
    for number, name in enumerate(names):
        if name.endswith("/"):
            (root / name).mkdir(parents=True)
        elif Path(name).suffix in (".png", ".webp"):
            save(root / name, np.full((6, 4), 10 * number + 5, np.uint8))
        else:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text("no image")
    return str(root)


def test_classes_have_one_number_in_all_splits(tmp_path: Path):
    """Also one that some split lacks, and one that is called as a split is: CIFAR-100 has a class "train"."""
    contents = folder.read(tree(tmp_path, "train/ape/1.png", "train/train/1.png", "test/train/1.png", "test/bee/1.png"))
    assert contents.class_names == {0: "ape", 1: "bee", 2: "train"}
    assert contents.train.labels.tolist() == [0, 2]
    assert contents.test.labels.tolist() == [1, 2]


def test_a_split_without_classes_has_no_labels(tmp_path: Path):
    contents = folder.read(tree(tmp_path, "train/ape/1.png", "train/bee/1.png", "test/1.png"))
    assert contents.train.labels.tolist() == [0, 1]
    assert contents.test.labels is None


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["test/1.png"], ("test without training images", "folder:")),
        (["val/a/1.png", "test/a/1.png"], ("test and val without training images", "DIR/train")),
        (["train/1.png", "test/1.png", "cat/1.png"], ("folders of splits (test and train) next to cat", "classes")),
        (["train/1.png", "car/1.png", "plane/1.png"], ("folders of splits (train) next to car, plane", "rename")),
        (["train/1.png", "logo.png"], ("folders of splits (train) next to images",)),
        (
            ["train/1.png", "Training/1.png", "test/1.png"],
            ("Training and train, which are both names of the train split",),
        ),
        (
            ["train/a/1.png", "train/2.png", "test/a/1.png"],
            ("train: images both in sub-folders and next to them", "2.png"),
        ),
        (["mnist_png/train/0/1.png", "mnist_png/test/0/1.png"], ("mnist_png/test, mnist_png/train", "/mnist_png,")),
        (["cat/train/1.png", "cat/test/1.png", "dog/train/1.png"], ("cat/test, cat/train, dog/train", "above")),
        (["train/1.png", "test/1.heic", "test/2.heic"], ("test: 2 .heic", "convert")),
        (["cat/1.png", "dog/1.heic", "dog/2.HEIC", "dog/notes.txt"], ("dog: 2 .heic, 1 .txt", "no image")),
        (["train/cat/1.png", "train/dog/1.png", "test/cat/1.png", "test/dog/1.heic"], ("test/dog: 1 .heic",)),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, refused, names: list[str], words: tuple[str, ...]):
    where = tree(tmp_path, *names)
    with refused(DataError, tmp_path, *words):
        folder.read(where)


def test_what_is_hidden_or_no_image_is_left_out_and_counted(tmp_path: Path):
    images = ["cat/1.png", "cat/2.png", "dog/1.png"]
    hidden = [".ipynb_checkpoints/1-checkpoint.png", "__MACOSX/cat/._1.png", "cat/._1.png", "cat/.hidden/1.png"]
    others = ["labels.csv", "cat/notes.txt", "cat/more.TXT", "LICENSE", "ant/", "bee/.DS_Store"]
    contents = folder.read(tree(tmp_path, *images, *hidden, *others))
    np.testing.assert_array_equal(contents.train.images[:, 0, 0, 0], [5, 15, 25])
    assert contents.train.labels.tolist() == [0, 0, 1]
    assert contents.class_names == {0: "cat", 1: "dog"}
    assert contents.left_out == (
        "2 .txt, 1 .csv, 1 extensionless file, 3 hidden folders, 2 hidden files, 2 empty folders (ant, bee)"
    )
    assert folder.read(tree(tmp_path / "plain", *images)).left_out == ""


def test_linked_folders_and_files_count_and_circles_end(tmp_path: Path):
    tree(tmp_path / "elsewhere", "1.png", "deep/2.png", "single.png")
    tree(tmp_path / "data", "cat/1.png")
    os.symlink(tmp_path / "elsewhere", tmp_path / "data" / "dog")
    os.symlink(tmp_path / "elsewhere" / "single.png", tmp_path / "data" / "cat" / "2.png")
    os.symlink(tmp_path / "data", tmp_path / "elsewhere" / "deep" / "up")
    os.symlink(tmp_path / "nowhere.png", tmp_path / "data" / "cat" / "3.png")
    contents = folder.read(str(tmp_path / "data"))
    assert contents.train.labels.tolist() == [0, 0, 1, 1, 1]
    assert contents.left_out == "1 broken link, 1 circular link"
    os.symlink(tmp_path / "data", tmp_path / "link")
    np.testing.assert_array_equal(folder.read(str(tmp_path / "link")).train.images, contents.train.images)


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        ([str(n) for n in range(12)], range(12)),
        (["1", "2", "10"], [1, 2, 10]),
        (["007", "08", "2020"], [7, 8, 2020]),
        (["class 1", "class 2", "class 10"], range(3)),
        (["1", "01"], range(2)),  # one number: no labels
        (["9" * 19, "9" * 20], range(2)),  # more than fits
        (["0", "1", "two"], range(3)),
        (["B", "a", "b"], range(3)),
    ],
)
def test_numbered_folders_are_labelled_by_their_numbers_and_others_in_order(tmp_path: Path, names, labels):
    contents = folder.read(tree(tmp_path, *(f"{name}/1.png" for name in names[::-1])))
    expected = dict(zip(sorted(names) if names == ["1", "01"] else names, labels, strict=True))
    assert contents.class_names == {label: name for name, label in expected.items()}
    value = {name: 10 * at + 5 for at, name in enumerate(names[::-1])}
    read = dict(zip(contents.train.images[:, 0, 0, 0].tolist(), contents.train.labels.tolist(), strict=True))
    assert read == {value[name]: label for name, label in expected.items()}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("image", [GREY[0], RGB[0]], ids=["grey", "RGB"])
def test_every_kind_of_file_is_read(tmp_path: Path, suffix: str, image: np.ndarray):
    kind = next(kind for kind, suffixes in FORMATS.items() if suffix in suffixes)
    if (suffix, image.ndim) in ((".pbm", 3), (".pgm", 3), (".ppm", 2)):
        image = np.resize(image, (6, 4, 3) if suffix == ".ppm" else (6, 4))
    image = (image > 99) * np.uint8(255) if kind in ("JPEG", "GIF") or suffix == ".pbm" else image
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}.get(kind, {})
    path = save(tmp_path / f"a{suffix.upper()}", image, format=kind, **options)
    read = folder.read(str(tmp_path)).train.images[0].astype(int)
    expected = np.atleast_3d(image).transpose(2, 0, 1).astype(int)
    assert len(read) == (3 if kind in ("WEBP", "GIF") else len(expected))  # which have no grey
    assert np.abs(read - expected).max() <= (50 if kind == "JPEG" else 0)
    path.rename(path.with_suffix(".png"))  # as the web serves them
    np.testing.assert_array_equal(folder.read(str(tmp_path)).train.images[0], read)


def test_a_jpeg_is_close_to_what_was_saved_and_stands_as_the_camera_noted(tmp_path: Path):
    ramp = np.linspace(0, 255, 64 * 32).reshape(64, 32).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise by 90 degrees
    save(tmp_path / "a" / "0.jpg", ramp, quality=95)
    save(tmp_path / "b" / "0.jpeg", np.rot90(ramp).copy(), quality=95, exif=exif)
    read = folder.read(str(tmp_path)).train
    assert read.images.shape == (2, 1, 64, 32)
    assert np.abs(read.images.astype(int) - ramp).max() < 12


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "P"])
def test_every_opaque_way_to_store_8_bits_is_read_without_loss(tmp_path: Path, mode: str):
    image = Image.fromarray((GREY[0] > 99) * np.uint8(255)).convert(mode)
    image.save(tmp_path / "a.png")
    read = picture(tmp_path / "a.png")
    target = image.convert("L" if mode in ("1", "L", "LA") else "RGB")
    np.testing.assert_array_equal(read, np.atleast_3d(np.asarray(target)).transpose(2, 0, 1), strict=True)


def test_transparency_is_refused(tmp_path: Path, refused):
    clear = np.dstack([RGB[0], np.full((6, 4), 254, np.uint8)])
    paths = [save(tmp_path / "rgba.png", clear), save(tmp_path / "la.png", clear[..., 2:])]
    paths.append(save(tmp_path / "key.png", RGB[0], transparency=tuple(RGB[0, 0, 0].tolist())))
    palette = Image.fromarray(GREY[0]).convert("P")
    palette.save(tmp_path / "palette.png", transparency=palette.getpixel((0, 0)))
    for path in [*paths, tmp_path / "palette.png"]:
        with refused(DataError, path, "transparent", "opaque"):
            picture(path)


def test_more_than_8_bits_and_other_colours_are_refused(tmp_path: Path, refused):
    save(tmp_path / "grey16.png", GREY[0].astype(np.uint16) * 257)
    # Pillow writes no 16-bit RGB, and reads it as 8-bit: one made by hand.
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in RGB[0])
    header = struct.pack(">IIBBBBB", 4, 6, 16, 2, 0, 0, 0)
    chunks = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    (tmp_path / "rgb16.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    for name in ("grey16.png", "rgb16.png"):
        with refused(DataError, tmp_path / name, "16 bits"):
            picture(tmp_path / name)
    save(tmp_path / "grey16.tif", GREY[0].astype(np.uint16) * 257)
    (tmp_path / "rgb16.ppm").write_bytes(b"P6\n# of two\n4 6\n65535\n" + RGB[0].astype(">u2").tobytes())
    (tmp_path / "rgb16.tif").write_bytes(tiff_of_16_bits(RGB[0].astype("<u2") * 257))
    for name in ("grey16.tif", "rgb16.ppm", "rgb16.tif"):
        with refused(DataError, tmp_path / name, "16 bits"):
            picture(tmp_path / name)
    Image.fromarray(RGB[0]).convert("CMYK").save(tmp_path / "cmyk.jpg")
    with refused(DataError, tmp_path / "cmyk.jpg", "CMYK"):
        picture(tmp_path / "cmyk.jpg")


def tiff_of_16_bits(image: np.ndarray) -> bytes:
    """Pillow writes no such file either: one strip, its directory of 10 tags, three numbers of bits, the pixels."""
    height, width, _ = image.shape
    after = 8 + 2 + 10 * 12 + 4
    tags = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, after), (259, 3, 1, 1), (262, 3, 1, 2),
        (273, 4, 1, after + 6), (277, 3, 1, 3), (278, 4, 1, height), (279, 4, 1, image.nbytes), (284, 3, 1, 1),
    ]  # fmt: skip
    directory = struct.pack("<H", 10) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<3H", 16, 16, 16) + image.tobytes()


@pytest.mark.parametrize("kind", ["gif", "tiff", "webp", "png"])
def test_files_of_several_images_are_refused(tmp_path: Path, refused, kind: str):
    first, *others = map(Image.fromarray, RGB)
    first.save(tmp_path / f"a.{kind}", save_all=True, append_images=others)
    with refused(DataError, tmp_path / f"a.{kind}", "3 frames", "one image"):
        picture(tmp_path / f"a.{kind}")


def test_images_of_zeros_and_ones_are_refused(tmp_path: Path, refused):
    """Masks are often stored so: two shades of black."""
    save(tmp_path / "a.png", (GREY[0] > 99).astype(np.uint8))
    with refused(DataError, tmp_path, "only the levels 0 and 1", "by 255"):
        folder.read(str(tmp_path))


def test_images_that_differ_in_size_or_colour_are_refused(tmp_path: Path, refused):
    first, second = save(tmp_path / "a.png", GREY[0]), save(tmp_path / "b.png", GREY[1].T.copy())
    with refused(DataError, f"{first}: 6 x 4 grey", f"{second}: 4 x 6 grey"):
        folder.read(str(tmp_path))
    save(second, RGB[0])
    with refused(DataError, f"{first}: 6 x 4 grey", f"{second}: 6 x 4 RGB"):
        folder.read(str(tmp_path))


def test_a_folder_without_images_or_partly_in_sub_folders_is_refused(tmp_path: Path, refused):
    with refused(DataError, tmp_path, "no images", ".png"):
        folder.read(str(tmp_path))
    with refused(DataError, tmp_path / "nowhere", "no such folder"):
        folder.read(str(tmp_path / "nowhere"))
    save(tmp_path / "a.png", GREY[0])
    save(tmp_path / "sub" / "b.png", GREY[1])
    with refused(DataError, tmp_path, "a.png", "sub-folder"):
        folder.read(str(tmp_path))


@pytest.mark.parametrize("name", [f"a{suffixes[0]}" for suffixes in FORMATS.values() if suffixes[0] != ".pgm"])
def test_a_damaged_image_is_refused(tmp_path: Path, refused, name: str):
    noise = np.random.default_rng(2).integers(0, 256, (64, 64, 3), np.uint8)
    path = save(tmp_path / name, noise)
    whole = path.read_bytes()
    for length in (0, 1, 8, 20, 30, 60, len(whole) // 2, len(whole) * 9 // 10):
        path.write_bytes(whole[:length])
        with refused(DataError, path, "damaged"):
            folder.read(str(tmp_path))
    path.write_text("a text file\n")
    with refused(DataError, path, "not a PNG, JPEG"):
        folder.read(str(tmp_path))


def test_another_format_under_a_known_name_is_refused(tmp_path: Path, refused):
    Image.fromarray(GREY[0]).save(tmp_path / "a.png", format="PCX")
    with refused(DataError, tmp_path / "a.png", "not a PNG, JPEG"):
        folder.read(str(tmp_path))


def many_bad(tmp_path: Path) -> Path:
    """Twenty images, of which 13 cannot be read."""
    for number in range(20):
        path = save(tmp_path / "photos" / f"{number:02}.png", RGB[0])
        if number >= 13:
            path.write_bytes(path.read_bytes()[:-20])
        elif number >= 7:
            save(path, np.dstack([RGB[0], np.full((6, 4), 9, np.uint8)]))
    return tmp_path / "photos"


def test_all_files_that_cannot_be_read_are_named_in_one_message(tmp_path: Path, refused):
    photos = many_bad(tmp_path)
    words = ["transparent pixels (07.png, 08.png, 09.png, 10.png, 11.png, 12.png)", "(13.png, 14.png, 15.png, 16.png)"]
    with refused(DataError, f"{photos}: 13 of 20 images cannot be read", *words, "and 3 more files", "damaged (EOF"):
        folder.read(str(photos))
    with refused(DataError, f"{photos}: 7 of 20 images cannot be read", "(13.png,", "19.png)"):
        folder.read(str(photos), parse_reading(convert=True))


def test_what_is_converted_is_said_with_the_sizes_found(tmp_path: Path):
    save(tmp_path / "a.png", RGB[0])
    save(tmp_path / "b.png", RGB[1].transpose(1, 0, 2).copy())
    save(tmp_path / "c.png", np.dstack([RGB[2], np.full((6, 4), 9, np.uint8)]))
    save(tmp_path / "d.png", np.resize(GREY[0], (3, 3)))
    save(tmp_path / "e.png", np.full((6, 4), 700, np.uint16))
    contents = folder.read(str(tmp_path), parse_reading(resize="crop:3x3", convert=True))
    assert contents.train.images.shape == (5, 3, 3, 3)
    assert contents.said == (
        f"sizes in folder:{tmp_path}: 6 x 4: 3, 3 x 3: 1, 4 x 6: 1; 4 of 5 images are cropped around the centre to "
        "that shape and resized to 3 x 3 by Pillow's filter LANCZOS",
        f"converted in folder:{tmp_path}: 1 grey of 16 bits, divided by 257 and rounded; 1 transparent, put on white; "
        "2 grey, made RGB",
    )
    assert (contents.train.images[4] == 3).all()  # 700 / 257
    np.testing.assert_array_equal(contents.train.images[3], np.resize(GREY[0], (3, 3))[None].repeat(3, 0))
    grey = folder.read(str(tmp_path), parse_reading(resize="3x3", convert=True, grey=True))
    assert grey.train.images.shape == (5, 1, 3, 3)
    assert grey.said[1].endswith("3 in colour, made grey")


def test_grey_images_before_and_after_the_first_in_colour_become_rgb(tmp_path: Path):
    for number in range(200):
        save(tmp_path / f"{number:03}.png", GREY[0] if number != 150 else RGB[0])
    images = folder.read(str(tmp_path), parse_reading(convert=True)).train.images
    expected = np.repeat(GREY[0][None, None], 200, 0).repeat(3, 1)
    expected[150] = RGB[0].transpose(2, 0, 1)
    np.testing.assert_array_equal(images, expected, strict=True)


def test_images_of_several_sizes_are_counted_and_told_how_to_be_resized(tmp_path: Path, refused):
    for number in range(5):
        save(tmp_path / f"{number}.png", RGB[0] if number < 2 else RGB[0].transpose(1, 0, 2).copy())
    with refused(DataError, "3 of 5 images differ from it", "--resize 6x4 or --resize crop:6x4"):
        folder.read(str(tmp_path))
    save(tmp_path / "1.png", GREY[0])
    for number in range(2, 5):
        (tmp_path / f"{number}.png").unlink()
    with refused(DataError, "6 x 4 RGB", "6 x 4 grey", "--grey, or --convert, which makes them RGB"):
        folder.read(str(tmp_path))


@pytest.mark.thorough(0.5, group="processes that decode")
def test_only_a_few_images_wait_in_memory(tmp_path: Path, monkeypatch):
    """However many there are: here each takes 1.2 MB, so a process decodes three at a time."""
    monkeypatch.setattr(decode, "TRIAL_SECONDS", 0)
    monkeypatch.setattr(decode, "WORTH_SECONDS", 0)
    monkeypatch.setattr(decode, "_processors", lambda: 2)
    first = save(tmp_path / "000.png", np.zeros((640, 640, 3), np.uint8))
    for number in range(1, 60):
        (tmp_path / f"{number:03}.png").symlink_to(first)
    most, started, block, original = 0, [1], decode._block, decode.Found.add

    def add(found, index, result):
        nonlocal most
        most = max(most, sum(started) - index)
        time.sleep(0.005)  # as long as other work would take: the processes must wait
        original(found, index, result)

    monkeypatch.setattr(
        decode, "_block", lambda folder, names, *more: started.append(len(names)) or block(folder, names, *more)
    )
    monkeypatch.setattr(decode.Found, "add", add)
    assert decode.decode(tmp_path, [f"{n:03}.png" for n in range(60)], AS_STORED).images.shape == (60, 3, 640, 640)
    assert 3 < most <= 3 * (2 * 2 + 1 + 1)


def gif_bomb() -> bytes:
    screen = b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0x80, 0, 0) + bytes(6)  # with two colours
    return screen + b"," + struct.pack("<4HB", 0, 0, 65535, 65535, 0) + b"\x02\x02\x44\x01\x00;"


def tiff_bomb(width: int, height: int, tile: int) -> bytes:
    """A TIFF of one tile, or of one strip if `tile` is 0, with hardly any content."""
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1), (277, 3, 1, 1)]
    if tile:
        tags += [(322, 4, 1, tile), (323, 4, 1, tile), (324, 4, 1, 8), (325, 4, 1, 8)]
    else:
        tags += [(273, 4, 1, 8), (278, 4, 1, height), (279, 4, 1, 8)]
    tags.sort()
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8) + directory


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.gif", gif_bomb()),
        ("image.tif", tiff_bomb(60_000, 60_000, 0)),
        ("tile.tif", tiff_bomb(16, 16, 60_000)),
    ],
)
def test_a_small_file_that_claims_many_pixels_takes_no_memory(tmp_path: Path, refused, name: str, content: bytes):
    (tmp_path / name).write_bytes(content)
    tracemalloc.start()
    with refused(DataError, tmp_path / name, "more than 178,956,970 pixels in an image or tile"):
        folder.read(str(tmp_path), parse_reading(convert=True, resize="8x8"))
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()


def test_a_large_image_is_compared_with_the_free_memory_first(tmp_path: Path, refused, monkeypatch):
    (tmp_path / "a.tif").write_bytes(tiff_bomb(12_000, 12_000, 0))
    monkeypatch.setattr("vaelab.system.memory.free_bytes", lambda: 10**9)
    with refused(DataError, tmp_path / "a.tif", "needs 2.9 GB of memory", "crop it, or save it smaller"):
        folder.read(str(tmp_path))


def test_labels_may_come_from_elsewhere_than_folders(tmp_path: Path):
    """Then images may be in sub-folders and next to them."""
    where = tree(tmp_path, "train/1_a.png", "train/deep/2_b.png", "test/x/1_c.png")
    contents = folder.read(where, parse_reading(labels="name:([0-9]+)_"))
    assert contents.train.labels.tolist() == [1, 2]
    assert contents.test.labels.tolist() == [1]
    assert contents.class_names == {1: "1", 2: "2"}
