"""Compile a training step: trace it to one graph, compile the graph as a whole, and keep the program in a file.

The name of the file depends on the graph, so a step that computes anything else has another program. Tracing takes
half a second. A kept program runs without a compiler and without Python.
"""

import hashlib
import os
import platform
import secrets
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from vaelab.system.private import is_private, own_folder
from vaelab.system.torch_internals import (
    compile_in_memory,
    compile_to_package,
    fake_mode,
    graph_of,
    is_fake,
    load_package,
)

Run = Callable[[list[Tensor]], object]  # its argument is the list of held tensors and inputs

OPTIONS: dict[str, Any] = {
    "fallback_random": True,  # draws come from torch's own generator, as in an eager step
    # torch would keep these headers in /tmp, and use files there that any user may have written
    "aot_inductor.precompile_headers": False,
}


@dataclass(frozen=True)
class Traced:
    """A step as a graph with the arguments (held, inputs)."""

    graph: GraphModule
    held: list[Tensor]  # all other tensors that the step reads or changes: weights, state, buffers, constants
    like: tuple[Tensor, ...]  # tensors without values, with the shapes, strides and dtypes of the arguments

    @property
    def name(self) -> str:
        """A name that identifies the graph, the form of its arguments, and the machine."""
        where = f"{torch.__version__} {torch.get_num_threads()} {_processor()}"
        return hashlib.sha256(f"{where} {OPTIONS} {_forms(self.like)} {self.graph.code}".encode()).hexdigest()[:24]


def trace(step: Callable[..., None], inputs: Sequence[Tensor]) -> Traced:
    """Trace `step` with tensors without values: nothing is computed, and no tensor that it holds changes.

    Raises:
        TypeError, ValueError: the step holds a tensor that cannot be an argument of a graph.
        Exception: any error of `step`, or an error of torch if the step reads a value.
    """
    fake = fake_mode()

    def followed(*tensors: Tensor) -> tuple[()]:
        step(*tensors)
        return ()

    with fake:
        traced = graph_of(followed, [fake.from_tensor(tensor) for tensor in inputs])
    held, arguments, first = list[Tensor](), dict[str, Any](), next(iter(traced.graph.nodes))
    for node in traced.graph.find_nodes(op="get_attr"):
        if node.target not in arguments:
            tensor = getattr(traced, node.target)
            if not isinstance(tensor, Tensor) or is_fake(tensor):
                raise TypeError(f"a step that holds a {type(tensor).__name__}")
            held.append(tensor)
            with traced.graph.inserting_before(first):
                arguments[node.target] = traced.graph.placeholder(f"held_{len(held)}")
        node.replace_all_uses_with(arguments[node.target])
        traced.graph.erase_node(node)
    memories = [tensor.untyped_storage().data_ptr() for tensor in held if tensor.numel()]
    if len(set(memories)) < len(memories):  # in the graph, a change of one would not change the other
        raise ValueError("a step that holds two tensors with the same memory")
    with fake:
        like = tuple(torch.empty_strided(t.shape, t.stride(), dtype=t.dtype, device=t.device) for t in (*held, *inputs))
    for node, tensor in zip(traced.graph.find_nodes(op="placeholder"), like, strict=True):
        node.meta["val"] = tensor  # torch reads it from there
    return Traced(GraphModule(nn.Module(), traced.graph), held, like)


def _forms(tensors: Sequence[Tensor]) -> list[tuple[object, ...]]:
    return [(tensor.shape, tensor.stride(), tensor.dtype, tensor.device) for tensor in tensors]


def program(
    step: Callable[..., None], inputs: Sequence[Tensor], folder: Path | None, say: Callable[[str], None]
) -> Callable[..., None]:
    """Compile `step` for inputs of the form of `inputs`; the program changes the same tensors as `step`.

    Arguments:
        folder: the folder in which programs are kept; None keeps none.
        say: receives a line if a kept program is damaged and is compiled again.

    Raises:
        Exception: the step cannot be traced, or there is no compiler. No tensor has changed in this case.
    """
    forms, on_cpu = _forms(inputs), inputs[0].device.type == "cpu"
    with _apart(folder), warnings.catch_warnings():
        for kind in (FutureWarning, DeprecationWarning):  # warnings of torch about its own code (2.13)
            warnings.simplefilter("ignore", kind)
        traced = trace(step, inputs)
        run = ahead_of_time(traced, folder, say) if on_cpu else just_in_time(traced)

    def take(*inputs: Tensor) -> None:
        if _forms(inputs) != forms:  # machine code does not check this
            raise ValueError(f"a program for {forms} received {_forms(inputs)}")
        with torch.no_grad():
            run([*traced.held, *inputs])

    return take


@contextmanager
def _apart(folder: Path | None) -> Iterator[None]:
    """Make the compiler write to `folder`, and remove the current folder from the path of each Python that it starts.

    Without `folder`, the compiler writes to a folder of this process. torch's default in /tmp may have files of other
    users, and torch would run them. A folder that the user named in TORCHINDUCTOR_CACHE_DIR is kept.
    """
    names = ("PYTHONSAFEPATH", "TORCHINDUCTOR_CACHE_DIR")
    before = {name: os.environ.get(name) for name in names}
    os.environ["PYTHONSAFEPATH"] = "1"
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder or own_folder()))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def ahead_of_time(traced: Traced, folder: Path | None, say: Callable[[str], None]) -> Run:
    """Load the machine code from `folder`; if it is missing or cannot be read, compile it and write it there."""
    with nullcontext(folder) if folder else tempfile.TemporaryDirectory() as place:
        kept = Path(place) / f"{traced.name}.pt2"
        if kept.exists():
            why = "a file that other users can change"
            if is_private(kept):
                try:
                    return _load(kept)
                except RuntimeError:
                    why = "damaged"
            say(f"{kept} is {why}: the step is compiled again, which takes half a minute or more")
            kept.unlink(missing_ok=True)
        _build(traced, kept)
        return _load(kept)


def _load(kept: Path) -> Run:
    return load_package(kept)


def _build(traced: Traced, kept: Path) -> None:
    temporary = kept.with_name(f".{kept.stem}.{secrets.token_hex(8)}.pt2")
    try:
        compile_to_package(traced.graph, traced.like, OPTIONS, temporary)
        temporary.chmod(0o600)
        os.replace(temporary, kept)
    finally:
        temporary.unlink(missing_ok=True)


def just_in_time(traced: Traced) -> Run:
    """Compile to kernels that Python calls: for a GPU, which then replays a recording of them without Python.

    Machine code for the whole step would need the CUDA headers on the machine.
    """
    compiled = compile_in_memory(traced.graph, traced.like, OPTIONS)
    return lambda arguments: compiled(*arguments)


@cache
def _processor() -> str:
    """What machine code depends on: the family of the processor and, if the system lists them, its features."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    able = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return f"{platform.machine()} {able}"
