"""A step of training as a program: traced to one graph, compiled as a whole, and kept in a file.

The graph names the file: a step that would compute anything else, for whatever reason, is another program. To trace
takes half a second, and to call what is kept neither a compiler nor Python.
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

from vaelab.system.files import is_private, own_folder
from vaelab.system.torch_internals import (
    compile_in_memory,
    compile_to_package,
    fake_mode,
    graph_of,
    is_fake,
    load_package,
)

Run = Callable[[list[Tensor]], object]  # of (held, inputs)

OPTIONS: dict[str, Any] = {
    "fallback_random": True,  # draws of torch's own generator: those of an eager step
    "aot_inductor.precompile_headers": False,  # which torch keeps in /tmp, and takes from there whoever wrote them
}


@dataclass(frozen=True)
class Traced:
    """What a step does, as a graph of (held, inputs)."""

    graph: GraphModule
    held: list[Tensor]  # all that the step reads or changes beside its inputs: weights, state, buffers, constants
    like: tuple[Tensor, ...]  # tensors of the form of the graph's arguments, without values

    @property
    def name(self) -> str:
        """The same for the same graph of arguments of the same form on the same machine, and for nothing else."""
        where = f"{torch.__version__} {torch.get_num_threads()} {_processor()}"
        return hashlib.sha256(f"{where} {OPTIONS} {_forms(self.like)} {self.graph.code}".encode()).hexdigest()[:24]


def trace(step: Callable[..., None], inputs: Sequence[Tensor]) -> Traced:
    """Follow `step` on tensors without values: nothing is computed, and nothing that it holds changes.

    Raises:
        TypeError, ValueError: it holds what cannot be given to a graph.
        Exception: whatever `step` raises; torch's, where it asks for a value.
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
                raise TypeError(f"a step that holds on to a {type(tensor).__name__}")
            held.append(tensor)
            with traced.graph.inserting_before(first):
                arguments[node.target] = traced.graph.placeholder(f"held_{len(held)}")
        node.replace_all_uses_with(arguments[node.target])
        traced.graph.erase_node(node)
    memories = [tensor.untyped_storage().data_ptr() for tensor in held if tensor.numel()]
    if len(set(memories)) < len(memories):  # the graph could not know that to change one is to change the other
        raise ValueError("a step that holds two tensors of one memory")
    with fake:
        like = tuple(torch.empty_strided(t.shape, t.stride(), dtype=t.dtype, device=t.device) for t in (*held, *inputs))
    for node, tensor in zip(traced.graph.find_nodes(op="placeholder"), like, strict=True):
        node.meta["val"] = tensor  # where torch looks for it
    return Traced(GraphModule(nn.Module(), traced.graph), held, like)


def _forms(tensors: Sequence[Tensor]) -> list[tuple[object, ...]]:
    return [(tensor.shape, tensor.stride(), tensor.dtype, tensor.device) for tensor in tensors]


def program(
    step: Callable[..., None], inputs: Sequence[Tensor], folder: Path | None, say: Callable[[str], None]
) -> Callable[..., None]:
    """`step` as compiled for inputs of the form of these; it changes the tensors that `step` does.

    Arguments:
        folder: where programs are kept; None keeps none.
        say: told where a kept one is damaged, and made again.

    Raises:
        Exception: it cannot be traced, or there is no compiler. Nothing has changed then.
    """
    forms, on_cpu = _forms(inputs), inputs[0].device.type == "cpu"
    with _apart(folder), warnings.catch_warnings():
        for kind in (FutureWarning, DeprecationWarning):  # what torch says of itself (2.13)
            warnings.simplefilter("ignore", kind)
        traced = trace(step, inputs)
        run = ahead_of_time(traced, folder, say) if on_cpu else just_in_time(traced)

    def take(*inputs: Tensor) -> None:
        if _forms(inputs) != forms:  # machine code does not look
            raise ValueError(f"a program for {forms} is given {_forms(inputs)}")
        with torch.no_grad():
            run([*traced.held, *inputs])

    return take


@contextmanager
def _apart(folder: Path | None) -> Iterator[None]:
    """Keep what the compiler writes in `folder`, and the current folder off the path of every Python that it starts.

    Without a folder it is one of this process's own: torch's default in /tmp may hold files of other people, which are
    run. A place that the user named in TORCHINDUCTOR_CACHE_DIR stays.
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
    """Machine code from `folder`, made and put there where it is not there yet or cannot be read."""
    with nullcontext(folder) if folder else tempfile.TemporaryDirectory() as place:
        kept = Path(place) / f"{traced.name}.pt2"
        if kept.exists():
            why = "a file that other users can change"
            if is_private(kept):
                try:
                    return _load(kept)
                except RuntimeError:
                    why = "damaged"
            say(f"{kept} is {why}: the step is compiled anew, which takes half a minute or more")
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
    """Kernels that are called from Python: for a GPU, where a recording of them is replayed without it.

    Machine code for the whole would need the headers of CUDA there.
    """
    compiled = compile_in_memory(traced.graph, traced.like, OPTIONS)
    return lambda arguments: compiled(*arguments)


@cache
def _processor() -> str:
    """What machine code depends on: the name of the processor's family, and where it is told, what it can do."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    able = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return f"{platform.machine()} {able}"
