"""Files of tensors in the safetensors format, with a digest of their content: a changed bit is an error when read."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from vaelab.system.errors import RunError
from vaelab.system.files import plain, write_atomically
from vaelab.system.memory import check_free

DIGEST = "sha256"  # the key of the digest in the header; it covers the other entries and all tensors
# What safetensors and torch raise for a damaged file; the last two for a size that is no 64-bit number
DAMAGED = (SafetensorError, RuntimeError, ValueError, TypeError, OverflowError)


def write_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str] | None = None) -> None:
    """Write tensors and header atomically.

    Raises:
        RunError: the disk is full, or the folder cannot be written to.
    """
    own = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
    entries = dict(header or {})
    write_atomically(path, save(own, {**entries, DIGEST: digest(own, entries)}))


def read_tensors(
    path: Path,
    missing: str = "train it first",
    damaged: str = "delete it and rerun the command: training resumes from what is left",
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the header of a safetensors file. A file of an earlier version has no digest, and is read.

    Arguments:
        missing, damaged: what to do if the file is missing or damaged, for the message.

    Raises:
        RunError: the file is missing, cannot be read, is cut short or damaged.
    """
    try:
        check_free(str(path), plain(path).stat().st_size, "close other programs", RunError)
        with safe_open(str(path).encode().decode(), "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            header: dict[str, str] = dict(file.metadata() or {})
        known = header.pop(DIGEST, None)
        if known is not None and known != digest(tensors, header):
            raise ValueError("its content has changed since it was written")
    except FileNotFoundError as error:
        raise RunError(found=f"no {path}", expected="a trained run", do=missing) from error
    except (OSError, UnicodeEncodeError) as error:  # safetensors accepts only paths in UTF-8
        why = getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0]
        do = "check the path and its permissions"
        raise RunError(found=f"{path} cannot be read ({why})", expected="a safetensors file", do=do) from error
    except DAMAGED as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise RunError(
            found=f"{path} is damaged ({reason})", expected="a whole safetensors file", do=damaged
        ) from error
    return tensors, header


def digest(tensors: Mapping[str, Tensor], header: Mapping[str, str] | None = None) -> str:
    """The SHA-256, in hexadecimal, of the entries of a header and of the names, types, shapes and bytes of tensors."""
    found = hashlib.sha256(json.dumps(sorted((header or {}).items())).encode() if header else b"")
    for name, tensor in sorted(tensors.items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        flat = tensor.detach().cpu().contiguous().flatten()
        flat = flat.as_strided(flat.shape, (1,))  # a single number may have any stride, and then has no view as bytes
        found.update(flat.view(torch.uint8).numpy().data)
    return found.hexdigest()
