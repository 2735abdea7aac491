"""The graphs as ONNX and as torch.export programs, each compared with torch before it is kept."""

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from vaelab.serving.export.graphs import EXAMPLE, Graph, Tensors
from vaelab.system.errors import SpecError, VaelabError, in_one_line

BATCHES = (1, 7)  # sizes of the batches that are compared
TOLERANCE = 1e-5  # largest difference, in units of the largest number of an output, or of 1 if that is larger
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
LARGEST_ONNX = 2**31 - 1  # bytes of one ONNX file
Call = Callable[[Tensors], Tensors]


def check_packages() -> None:
    """Raise SpecError unless the packages are installed that write and run ONNX."""
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise SpecError(
            found=f"no package {', '.join(missing)}, which ONNX files need",
            expected="these packages, or another format",
            do="run `pip install 'vaelab[export]'`, or add --formats pt2",
        )


def traced(graph: Graph) -> Any:
    """Return the torch.export program of a graph, for a batch of any size.

    Raises:
        SpecError: torch cannot trace it.
    """
    given = tuple(graph.batch(EXAMPLE).values())
    batch = {0: torch.export.Dim.DYNAMIC}
    with _refusing(graph, "torch.export"), torch.no_grad(), quiet():
        program = torch.export.export(graph.module, given, dynamic_shapes={"tensors": tuple(batch for _ in given)})
        for node in program.graph.nodes:  # they name files of this machine
            node.meta.pop("stack_trace", None)
        return program


def pt2(graph: Graph, program: Any) -> tuple[bytes, float]:
    """Return a .pt2 file, and the largest difference of its outputs from those of the model.

    Raises:
        SpecError: it cannot be written, or its outputs differ.
    """
    file = io.BytesIO()
    with _refusing(graph, "torch.export"), torch.no_grad(), quiet():
        torch.export.save(program, file)
        file.seek(0)
        read = torch.export.load(file).module()
        difference = largest_difference(graph, "torch.export", lambda given: read(*given.values()))
    return file.getvalue(), difference


def onnx(graph: Graph, program: Any, version: str) -> tuple[bytes, float]:
    """Return an ONNX file, and the largest difference of its outputs in ONNX Runtime from those of the model.

    Arguments:
        version: of vaelab, written into the file.

    Raises:
        SpecError: an operation has no counterpart in ONNX, or the outputs differ.
    """
    import onnxruntime

    weights = sum(tensor.numel() * tensor.element_size() for tensor in program.state_dict.values())
    if weights > 0.95 * LARGEST_ONNX:
        found = f"{graph.name} with {weights / 1e9:.1f} GB of weights"
        raise SpecError(found=found, expected="less than 2 GB for an ONNX file", do="add --formats pt2")
    with _refusing(graph, "ONNX"), torch.no_grad(), quiet():
        made: Any = torch.onnx.export(
            program,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamo=True,
            verbose=False,
        )
        content = _tidied(made.model_proto, graph, version).SerializeToString()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3  # errors
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]

        def call(given: Tensors) -> Tensors:
            found: Any = session.run(None, {name: tensor.numpy() for name, tensor in given.items()})
            return {name: torch.from_numpy(value) for name, value in zip(names, found, strict=True)}

        return content, largest_difference(graph, "ONNX Runtime", call)


def largest_difference(graph: Graph, other: str, call: Call) -> float:
    """Return the largest difference between `call` and the model, in the units of `TOLERANCE`.

    Raises:
        SpecError: it is larger than `TOLERANCE`, or an output has another name, shape or type.
    """
    largest = 0.0
    for size in BATCHES:
        given = graph.batch(size)
        ours, theirs = graph.module(*given.values()), call(given)
        if ours.keys() != theirs.keys():
            raise _differs(graph, other, f"gives {', '.join(theirs)}", ", ".join(ours))
        for name, expected in ours.items():
            found = theirs[name]
            if (found.shape, found.dtype) != (expected.shape, expected.dtype):
                what = f"gives {name} as {found.dtype} of shape {tuple(found.shape)} for a batch of {size}"
                raise _differs(graph, other, what, f"{expected.dtype} of shape {tuple(expected.shape)}")
            difference = _difference(found, expected)
            if not difference <= TOLERANCE:  # also if it is NaN
                what = f"differs from torch by {difference:.1e} in {name}, for a batch of {size}"
                raise _differs(graph, other, what, f"at most {TOLERANCE:g}")
            largest = max(largest, difference)
    return largest


def _difference(found: Tensor, expected: Tensor) -> float:
    if found.numel() == 0:
        return 0.0
    scale = max(1.0, expected.double().abs().max().item())
    return (found.double() - expected.double()).abs().max().item() / scale


def _differs(graph: Graph, other: str, what: str, expected: str) -> SpecError:
    do = "leave this format out with --formats, and report the Spec of this run"
    return SpecError(found=f"{graph.name}: {other} {what}", expected=expected, do=do)


def _tidied(proto: Any, graph: Graph, version: str) -> Any:
    """Return the model with a named batch axis, and without the notes of the exporter, which name files."""
    nodes = [proto.graph, *proto.graph.node, *proto.graph.input, *proto.graph.output, *proto.graph.initializer]
    for function in proto.functions:
        nodes += [function, *function.node]
    for node in nodes:
        node.doc_string = ""
        del node.metadata_props[:]
    del proto.graph.value_info[:]  # their sizes are derived from the name of the batch axis
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    proto.producer_name, proto.producer_version = "vaelab", version
    proto.doc_string = f"{graph.name} of a variational autoencoder; see README.md and config.json"
    return proto


@contextmanager
def _refusing(graph: Graph, form: str) -> Iterator[None]:
    """Raise SpecError, with the reason in one line, if the graph cannot have this form."""
    try:
        yield
    except (VaelabError, MemoryError):
        raise
    except Exception as error:  # of any kind: exporters raise many, and a part may be the user's own code
        name = graph.distribution.partition(":")[0]
        raise SpecError(
            found=f"{graph.name} ({name}) has no form in {form} ({in_one_line(_first(error))})",
            expected="operations that this format has",
            do="leave it out with --formats",
        ) from error


def _first(error: BaseException) -> Exception:
    """Return the error that caused the others."""
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    return error  # pyright: ignore[reportReturnType]


@contextmanager
def quiet() -> Iterator[None]:
    """Keep warnings and log lines of the exporters from the user: the outputs are compared in any case."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    before = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in zip(loggers, before, strict=True):
                logger.setLevel(level)
