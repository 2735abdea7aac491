"""Read images from tensors: files of torch.save, and safetensors files. Nothing in a file is executed."""

import math
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vaelab.data.dataset import Contents
from vaelab.data.formats import options as file_options
from vaelab.data.formats.arrays import contents
from vaelab.system.errors import DataError, shortened
from vaelab.system.files import expanded, plain
from vaelab.system.memory import check_free

if TYPE_CHECKING:
    from torch import Tensor, dtype

EXPECTED_PT = "a tensor, a pair of images and labels, or a dictionary of tensors"
MOST_VALUES = 2**58  # without axes of 0: numpy counts bytes so, and a value has up to 16


def pt(where: str) -> Contents:
    """Read a file of torch.save: a tensor of images, a pair (images, labels), or a dictionary of tensors.

    Options of `formats.options.of_arrays` name the tensors of a dictionary and their layout; `formats.arrays.contents`
    describes them.

    Raises:
        DataError: the file is missing, damaged, or of a torch before 1.6; it holds more than plain tensors; there is no
            such tensor; or its shape or values are other ones.
        SpecError: an option is wrong.
    """
    at, options = file_options.of_arrays(where)
    path = expanded(at)
    found = _named(path, _loaded(path))
    return contents(
        path, list(found), lambda keys: {key: _array(f"{path}, {key}", found[key]) for key in keys}, options
    )


def safetensors(where: str) -> Contents:
    """Read a safetensors file; options of `formats.options.of_arrays` name its tensors and their layout.

    `formats.arrays.contents` describes the tensors.

    Raises:
        DataError: the file is missing or damaged; there is no such tensor; or its shape or values are other ones.
        SpecError: an option is wrong.
    """
    at, options = file_options.of_arrays(where)
    path = expanded(at)
    from safetensors import safe_open

    from vaelab.system.tensor_file import DAMAGED

    try:
        plain(path).open("rb").close()
        with safe_open(str(path), "pt") as file:
            keys = list(file.keys())

            def fetch(chosen: list[str]) -> dict[str, np.ndarray]:
                check_free(str(path), 2 * path.stat().st_size, "save a part of it, or write images alone as images.npy")
                return {key: _array(f"{path}, {key}", file.get_tensor(key)) for key in chosen}

            return contents(path, keys, fetch, options)
    except OSError as error:
        raise _unreadable(path, error, "a safetensors file") from error
    except DAMAGED as error:
        raise DataError(
            found=f"{path}: damaged, cut short or not a safetensors file ({_first_line(error)})",
            expected="a complete safetensors file",
            do="copy or write it again",
        ) from error


def _loaded(path: Path) -> object:
    """The content of a file of torch.save, mapped. Only tensors and plain containers can be made from it."""
    import torch

    try:
        with plain(path).open("rb") as file:
            stored = zipfile.is_zipfile(file) and not any(one.compress_type for one in zipfile.ZipFile(file).infolist())
        if not stored:
            raise DataError(
                found=f"{path}: not an archive as torch writes it since version 1.6, or cut short",
                expected="a complete file of torch.save",
                do="load it with your own code, and save the tensors again with torch.save",
            )
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except OSError as error:
        raise _unreadable(path, error, "a file of torch.save") from error
    except pickle.UnpicklingError as error:
        raise DataError(
            found=f"{path}: more than tensors, and reading it would run its code",
            expected=EXPECTED_PT,
            do="save only the tensors: torch.save({'images': images, 'labels': labels}, FILE)",
        ) from error
    except Exception as error:  # of any type: torch raises many for a damaged file
        raise DataError(
            found=f"{path}: damaged, or not a file of torch.save ({_first_line(error)})",
            expected="a complete file of torch.save",
            do="copy or write it again",
        ) from error


def _named(path: Path, loaded: object) -> Mapping[str, "Tensor"]:
    """The tensors by name.

    Raises:
        DataError: there is something else.
    """
    import torch
    from torch import Tensor

    named: dict[object, object] | None = loaded if isinstance(loaded, dict) else None
    if isinstance(loaded, Tensor):
        named = {"images": loaded}
    elif isinstance(loaded, tuple | list) and len(loaded) in (1, 2):
        named = dict(zip(("images", "labels"), loaded, strict=False))
    if named is None:
        raise DataError(
            found=f"{path}: an object of type {type(loaded).__name__}",
            expected=EXPECTED_PT,
            do="save torch.save({'images': images, 'labels': labels}, FILE)",
        )
    found = dict[str, Tensor]()
    for key, tensor in named.items():
        if not isinstance(key, str):
            raise DataError(
                found=f"{path}: a tensor called {shortened(key)}",
                expected="a name that is text",
                do="rename the tensor",
            )
        if type(tensor) is not Tensor or tensor.layout is not torch.strided:
            kind = type(tensor).__name__ if type(tensor) is not Tensor else f"{tensor.layout} tensor"
            raise DataError(
                found=f"{path}: more than tensors ({key!r} is of type {kind})",
                expected=EXPECTED_PT,
                do="save only the tensors",
            )
        found[key] = tensor
    return found


def _array(where: str, tensor: "Tensor") -> np.ndarray:
    """A tensor in memory. A tensor may be larger than its file: its rows may be one row, repeated."""
    import torch

    known = _known_types()
    if tensor.is_nested or tensor.dtype not in known:
        raise DataError(
            found=f"{where}: {'a nested tensor' if tensor.is_nested else f'values of type {tensor.dtype}'}",
            expected=f"a plain tensor of {', '.join(str(one).removeprefix('torch.') for one in known)}",
            do="save it as one of these",
        )
    if min(tensor.shape, default=0) < 0 or math.prod(size or 1 for size in tensor.shape) > MOST_VALUES:
        found = f"{where}: damaged (shape {tuple(tensor.shape)})"
        raise DataError(found=found, expected="a size of an array", do="copy or write it again")
    needed = 2 * math.prod(tensor.shape) * tensor.element_size()
    check_free(where, needed, "save a part of it, or write images alone as images.npy")
    if tensor.device.type != "cpu":
        found = f"{where}: a tensor without values"
        raise DataError(found=found, expected="a plain tensor", do="save its values")
    # A copy, because the tensor is a map of its file: to read it kills the process if the file is cut short meanwhile.
    small = tensor.is_floating_point() and tensor.dtype not in (torch.float16, torch.float32, torch.float64)
    return (tensor.float() if small else tensor.detach().resolve_neg().resolve_conj()).clone().numpy()


def _known_types() -> tuple["dtype", ...]:
    """The types of values that become those of an array: torch adds types, some of which it cannot convert."""
    import torch

    whole = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
    wide = (torch.uint16, torch.uint32, torch.uint64)
    floats = (torch.float8_e4m3fn, torch.float8_e5m2, torch.float16, torch.bfloat16, torch.float32, torch.float64)
    return (*whole, *wide, *floats, torch.complex64, torch.complex128)


def _unreadable(path: Path, error: OSError, expected: str) -> DataError:
    return DataError(
        found=f"{path}: cannot be read ({error.strerror or _first_line(error)})", expected=expected, do="check the path"
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
