"""The options of a file of arrays, as the user writes them: FILE:images=KEY:shape=28x28:order=F."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from vaelab.system.errors import SpecError

NAMED = tuple(f"{split}{kind}" for split in ("", "val_", "test_") for kind in ("images", "labels", "factors"))
LAYOUT = ("shape", "order", "axes")
_TRAILING = re.compile(r"((?::[A-Za-z_]+=[^:]*)*)$")


@dataclass(frozen=True)
class Options:
    """What the user says about the arrays of a file.

    Arguments:
        names: the keys of the arrays by what they hold: images, labels, factors, val_images, test_images, ...; empty if
            the user names none.
        shape: the numbers of `shape=28x28`, the shape of an image that is stored flat; () if images are not flat.
        order: "C" if the last index of a flat image is fastest, "F" if the first is.
        axes: the letters of `axes=NHWC`; of a flat image, those of its `shape`; "" to infer them.
    """

    names: Mapping[str, str]
    shape: tuple[int, ...] = ()
    order: str = "C"
    axes: str = ""


def path_of(argument: str) -> str:
    """The path in PATH:option=value:option=value."""
    return argument if Path(argument).exists() else _TRAILING.sub("", argument)


def split(argument: str, known: Collection[str]) -> tuple[str, dict[str, str]]:
    """Divide PATH:option=value:option=value into the path and its options. A path that exists has no options.

    Raises:
        SpecError: an option is unknown, is given twice or has no value.
    """
    path = path_of(argument)
    options: dict[str, str] = {}
    for word in filter(None, argument[len(path) :].split(":")):
        name, _, value = word.partition("=")
        if name not in known or name in options or not value:
            why = "unknown" if name not in known else "given twice" if name in options else "without a value"
            raise SpecError(
                found=f"option {word!r} of {argument}, {why}",
                expected=f"each of {', '.join(known)} once at most, with a value",
                do="correct the option",
            )
        options[name] = value
    return path, options


def of_arrays(argument: str) -> tuple[str, Options]:
    """The path of a file of arrays with keys, and its options. `key` is another name of `images`.

    Raises:
        SpecError: as `split`; or an option has a wrong value; or labels are named, and not their images.
    """
    path, given = split(argument, ("key", *NAMED, *LAYOUT))
    if "key" in given:
        if "images" in given:
            raise SpecError(found=f"key and images of {argument}", expected="one of them", do="leave out key")
        given = {"images": given.pop("key"), **given}
    names = {name: key for name, key in given.items() if name in NAMED}
    alone = [name for name in names if f"{name.rpartition('_')[0]}_images".removeprefix("_") not in names]
    if alone or (names and "images" not in names):
        raise SpecError(
            found=f"{alone[0] if alone else next(iter(names))} of {argument} without images",
            expected="images=KEY, and val_images=KEY or test_images=KEY for labels of these splits",
            do="name the images too, as in images=KEY:labels=KEY:test_images=KEY:test_labels=KEY",
        )
    return path, _checked(argument, given, names)


def of_one_array(argument: str) -> tuple[str, Options]:
    """The path of a file that is one array, and its options.

    Raises:
        SpecError: as `of_arrays`.
    """
    path, given = split(argument, LAYOUT)
    return path, _checked(argument, given, {})


def _checked(argument: str, given: Mapping[str, str], names: Mapping[str, str]) -> Options:
    shape = given.get("shape", "")
    if shape and not re.fullmatch(r"[1-9][0-9]{0,5}(x[1-9][0-9]{0,5}){1,2}", shape):
        raise SpecError(
            found=f"shape={shape} of {argument}",
            expected="HxW or CxHxW",
            do="write it as in shape=28x28, shape=3x32x32",
        )
    numbers = tuple(map(int, shape.split("x"))) if shape else ()
    order, axes = given.get("order", "C"), given.get("axes", "").upper()
    if order not in ("C", "F") or ("order" in given and not shape):
        raise SpecError(
            found=f"order={order} of {argument}{'' if shape else ' without a shape'}",
            expected="C or F, with the shape of a flat image",
            do="write it as in shape=28x28:order=F",
        )
    possible = ({2: "HW", 3: "CHW"}[len(numbers)],) if numbers else ("NHW", "NCHW")
    if axes and not any(sorted(axes) == sorted(letters) for letters in possible):
        raise SpecError(
            found=f"axes={axes} of {argument}",
            expected=f"the letters {' or '.join(possible)} in the order of the array"
            + (", which are those of shape" if shape else ": N images, C channels, H rows, W columns"),
            do=f"write it as in axes={'HWC' if len(numbers) == 3 else 'WH' if numbers else 'NHWC'}",
        )
    return Options(names, numbers, order, axes)
