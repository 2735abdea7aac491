"""What vaelab uses of torch that torch does not promise to keep: all of it, and nowhere else.

`NAMES` lists it. A name is looked up when it is used, so that `import vaelab` needs none of them. Each use has a
fallback: without a name of `COMPILER` a step is not compiled, without a name of `ONEDNN` layers run as plain layers,
and the rest is computed by a slower way that gives the same numbers. tests/system/test_torch_internals.py takes the
names away one by one.
"""

import pkgutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

# "module:attribute", as pkgutil.resolve_name takes it
FAKE_MODE, FAKE_TENSOR = "torch._subclasses.fake_tensor:FakeTensorMode", "torch._subclasses.fake_tensor:FakeTensor"
MAKE_FX, PROXY_MODE = "torch.fx.experimental.proxy_tensor:make_fx", "torch.fx.experimental.proxy_tensor:get_proxy_mode"
AOT_COMPILE, PACKAGE = "torch._inductor:aot_compile", "torch._inductor.package:package_aoti"
LOADER, JIT_COMPILE = "torch:_C._aoti.AOTIModelPackageLoader", "torch._inductor:compile"
MATMUL_PRECISION = "torch:backends.mkldnn.matmul.fp32_precision"
LINEAR, REORDER = "torch:ops.mkldnn._linear_pointwise", "torch:ops.mkldnn._reorder_linear_weight"
HAS_BFLOAT16 = "torch:ops.mkldnn._is_mkldnn_bf16_supported"
CPU_GENERATOR, CUDA_GENERATORS = "torch:default_generator", "torch.cuda:default_generators"

Foreach = Literal["add_", "addcmul_", "copy_", "lerp_", "mul", "mul_", "norm", "reciprocal_", "sqrt"]

# The same for one tensor
ONE_BY_ONE: dict[Foreach, Callable[..., Tensor]] = {
    "add_": Tensor.add_,
    "addcmul_": lambda x, a, b, value=1: x.addcmul_(a, b, value=value),
    "copy_": Tensor.copy_,
    "lerp_": Tensor.lerp_,
    "mul": Tensor.mul,
    "mul_": Tensor.mul_,
    "norm": lambda x, order, dtype: torch.linalg.vector_norm(x, order, dtype=dtype),
    "reciprocal_": Tensor.reciprocal_,
    "sqrt": Tensor.sqrt,
}

COMPILER = (FAKE_MODE, FAKE_TENSOR, MAKE_FX, AOT_COMPILE, PACKAGE, LOADER, JIT_COMPILE)
ONEDNN = (LINEAR, REORDER, HAS_BFLOAT16)
FOREACH = tuple(f"torch:_foreach_{name}" for name in ONE_BY_ONE)
NAMES = (*COMPILER, PROXY_MODE, MATMUL_PRECISION, *ONEDNN, CPU_GENERATOR, CUDA_GENERATORS, *FOREACH)


class MissingInternalError(Exception):
    """This version of torch lacks a name of `NAMES`."""


def find(name: str) -> Any:
    """The object called `name`, one of `NAMES`.

    Raises:
        MissingInternalError: torch has none; the message names it.
    """
    try:
        return pkgutil.resolve_name(name)
    except (ImportError, AttributeError) as error:
        raise MissingInternalError(f"torch {torch.__version__} has no {name.replace(':', '.')}") from error


# Tracing and compiling. Whoever calls these takes the eager step if they raise.


def fake_mode() -> Any:
    """A context in which tensors have a shape, a type and a device, and no values."""
    return find(FAKE_MODE)(allow_non_fake_inputs=True)


def is_fake(tensor: object) -> bool:
    """Whether this is a tensor of a `fake_mode`."""
    return isinstance(tensor, find(FAKE_TENSOR))


def graph_of(function: Callable[..., object], inputs: Sequence[Tensor]) -> GraphModule:
    """The operations of `function` on these inputs, as one graph. A tensor that it holds is an attribute of it."""
    return find(MAKE_FX)(function)(*inputs)


def is_traced() -> bool:
    """Whether what runs now is written down by torch.compile, torch.export or `graph_of`.

    False where torch lacks `get_proxy_mode`: `graph_of` then gives the graph of the eager step.
    """
    if torch.compiler.is_compiling():
        return True
    if PROXY_MODE.partition(":")[0] not in sys.modules:  # nothing is traced before it is imported
        return False
    try:
        return find(PROXY_MODE)() is not None
    except MissingInternalError:
        return False


def compile_to_package(graph: GraphModule, like: Sequence[Tensor], options: dict[str, Any], package: Path) -> None:
    """Write machine code for `graph` on arguments of the form of `like` to the file `package`."""
    compiled, pack, _ = (find(name) for name in (AOT_COMPILE, PACKAGE, LOADER))  # what cannot be loaded is of no use
    with torch.no_grad():
        files: Any = compiled(graph, tuple(like), options=options | {"aot_inductor.package": True})
    pack(str(package), files)


def load_package(package: Path) -> Callable[[list[Tensor]], object]:
    """The function of a list of tensors that `compile_to_package` wrote; RuntimeError where the file is damaged."""
    return find(LOADER)(str(package), "model", False, 1, -1).run  # one, on the device that it was compiled for


def compile_in_memory(graph: GraphModule, like: Sequence[Tensor], options: dict[str, Any]) -> Callable[..., object]:
    """A function of tensors of the form of `like` that computes `graph` by compiled kernels."""
    compiled = find(JIT_COMPILE)
    with torch.no_grad():
        return compiled(graph, list(like), options=options)


# oneDNN (torch calls it mkldnn)


@contextmanager
def matmul_precision(precision: str | None) -> Iterator[None]:
    """While this lasts, oneDNN may round float32 products on a CPU to `precision`; None changes nothing.

    Changes nothing where torch lacks the setting.
    """
    settings: Any = getattr(torch.backends.mkldnn, "matmul", None)
    before: str | None = getattr(settings, "fp32_precision", None)
    if precision is None or before is None:
        yield
        return
    settings.fp32_precision = precision
    try:
        yield
    finally:
        settings.fp32_precision = before


def has_onednn_linear(dtype: torch.dtype) -> bool:
    """Whether oneDNN's linear layer of this type works here. That of bfloat16 needs more than AVX2."""
    if not torch.backends.mkldnn.is_available():
        return False
    try:
        _, _, has_bfloat16 = (find(name) for name in ONEDNN)
    except MissingInternalError:
        return False
    return dtype == torch.float32 or has_bfloat16()


class OneDnnLinear(nn.Module):
    """activation(W x + b), with W in the layout that oneDNN prefers.

    Arguments:
        dtype: of the product. x is converted to it.
        rows: of x, about: the layout of W is made for it.
    """

    def __init__(self, layer: nn.Linear, dtype: torch.dtype, rows: int) -> None:
        super().__init__()
        self.dtype = dtype
        self.weight = find(REORDER)(layer.weight.detach().to(dtype), rows)
        self.bias = None if layer.bias is None else layer.bias.detach().to(dtype)
        self.activation = "none"  # or oneDNN's name of another

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x.to(self.dtype), self.weight, self.bias, self.activation, [], "")


# Generators


def seed_default_generator(device: torch.device, seed: int) -> None:
    """Seed the generator that torch uses for draws on `device`, and no other one.

    `torch.manual_seed` seeds the generators of all devices and takes a hundred times as long.
    """
    if device.type == "cpu":
        generator: torch.Generator | None = getattr(torch, "default_generator", None)
    else:
        of_devices: Sequence[torch.Generator] | None = getattr(torch.cuda, "default_generators", None)
        generator = of_devices[device.index or 0] if of_devices else None
    if generator is not None:
        generator.manual_seed(seed)
        return
    state = torch.Generator(device).manual_seed(seed).get_state()
    if device.type == "cpu":
        torch.set_rng_state(state)
    else:
        torch.cuda.set_rng_state(state, device)


# Lists of tensors


def foreach(name: Foreach, tensors: Sequence[Tensor], *others: Any) -> Any:
    """torch._foreach_NAME: the operation `name` on each tensor of a list at once, or one by one where torch lacks it.

    Arguments:
        others: the operation's further arguments. A list or tuple holds one for each tensor.
    """
    at_once = getattr(torch, f"_foreach_{name}", None)
    if at_once is not None:
        return at_once(tensors, *others)
    columns = [other if isinstance(other, (list, tuple)) else [other] * len(tensors) for other in others]
    return [ONE_BY_ONE[name](*row) for row in zip(tensors, *columns, strict=True)]
