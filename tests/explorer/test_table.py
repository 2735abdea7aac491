"""The two tables of operations, in Python and in TypeScript, have the same names."""

import pytest
import torch
from torch import nn

from vaelab.explorer.functions import Function
from vaelab.explorer.lower import lowered
from vaelab.system.errors import SpecError


class _Calls(nn.Module):
    def __init__(self, call) -> None:
        super().__init__()
        self.call = call

    def forward(self, x):
        return {"y": self.call(x)}


def function(call, *shape: int) -> Function:
    return Function("f", _Calls(call).eval(), {"x": torch.rand(1, *shape) + 0.1}, ())


CALLS = {
    "abs": torch.abs, "neg": torch.neg, "exp": torch.exp, "expm1": torch.expm1, "log": torch.log, "log1p": torch.log1p,
    "log2": torch.log2, "sqrt": torch.sqrt, "square": torch.square, "rsqrt": torch.rsqrt, "sin": torch.sin,
    "cos": torch.cos, "tan": torch.tan, "asin": lambda x: (x / 2).asin(), "acos": lambda x: (x / 2).acos(),
    "atan": torch.atan, "sinh": torch.sinh, "cosh": torch.cosh, "tanh": torch.tanh, "sigmoid": torch.sigmoid,
    "relu": lambda x: (x - 0.5).relu(), "reciprocal": torch.reciprocal, "erf": torch.erf,
    "erfc": lambda x: (6 * x - 2).erfc(),
    "erfcx": lambda x: torch.special.erfcx(6 * x - 2), "lgamma": lambda x: (20 * x - 3.05).lgamma(),
    "erf far": lambda x: (6 * x - 3).erf(), "floor": lambda x: (4 * x).floor(), "ceil": lambda x: (4 * x).ceil(),
    "round": lambda x: torch.stack([4 * x, x * 0 + 0.5, x * 0 + 1.5]).round(), "sign": lambda x: (x - 0.5).sign(),
    "nan": lambda x: torch.where(x > 0.5, torch.nan, x).isnan(), "inf": lambda x: (1 / (x > 0.5).float()).isinf(),
    "not": lambda x: (x > 0.5).logical_not(), "gelu": lambda x: nn.functional.gelu(6 * x - 3),
    "gelu tanh": lambda x: nn.functional.gelu(6 * x - 3, approximate="tanh"), "clamp": lambda x: x.clamp(0.3, 0.6),
    "clamp one side": lambda x: x.clamp(min=0.5), "elu": lambda x: nn.functional.elu(x - 0.5, 0.7),
    "selu": lambda x: nn.functional.selu(x - 0.5), "silu": lambda x: nn.functional.silu(x - 0.5),
    "leaky": lambda x: nn.functional.leaky_relu(x - 0.5, 0.2),
    "softplus": lambda x: nn.functional.softplus(9 * x, 3, 8),
    "hardtanh": lambda x: nn.functional.hardtanh(x * 3 - 1), "add": lambda x: torch.add(x, x.flip(-1), alpha=2),
    "sub": lambda x: torch.sub(x, x[..., :1], alpha=3), "mul": lambda x: x * x[:, :1],
    "div": lambda x: x / (x[..., :1]),
    "pow": lambda x: x ** x, "power": lambda x: x ** 1.7, "maximum": lambda x: torch.maximum(x, x.mT),
    "minimum": lambda x: torch.minimum(x, x.mT), "remainder": lambda x: (x - 0.5).remainder(0.3),
    "atan2": lambda x: torch.atan2(x - 0.5, x.mT), "compare": lambda x: torch.stack(
        [x == 0.5, x != 0.5, x < 0.5, x <= 0.5, x > 0.5, x >= 0.5, (x > 0.3) & (x < 0.6), (x < 0.3) | (x > 0.6)]
    ), "where": lambda x: torch.where(x > 0.5, x, -x), "cast": lambda x: (x * 9).to(torch.int64).double() / 2,
    "sum": lambda x: x.sum((0, 2)), "sum all": lambda x: x.sum(), "mean": lambda x: x.mean(1, keepdim=True),
    "amax": lambda x: x.amax(-1), "amin": lambda x: x.amin(1), "prod": lambda x: x.prod(1),
    "any": lambda x: (x > 0.9).any(1),
    "argmin": lambda x: x.argmin(1), "argmax": lambda x: x.argmax(-1), "softmax": lambda x: x.softmax(1),
    "log softmax": lambda x: x.log_softmax(-1), "cumsum": lambda x: x.cumsum(1), "cumprod": lambda x: x.cumprod(-1),
    "logsumexp": lambda x: x.logsumexp(1), "norm": lambda x: x.norm(dim=1), "var": lambda x: x.var(1),
    "layer norm": lambda x: nn.functional.layer_norm(x, x.shape[-1:]),
    "group norm": lambda x: nn.functional.group_norm(x.unsqueeze(-1), 3, torch.arange(6.0), torch.ones(6)),
    "batch norm": lambda x: nn.functional.batch_norm(x, torch.arange(6.0), torch.ones(6) + 1, torch.arange(6.0)),
    "matmul": lambda x: x @ x.mT, "matmul transposed": lambda x: x.mT @ x, "product": lambda x: x[0] @ torch.ones(6, 4),
    "linear": lambda x: nn.functional.linear(x, torch.arange(24.0).view(4, 6), torch.arange(4.0)),
    "double": lambda x: x.double() @ x.double().mT, "gather": lambda x: x.gather(1, (x * 3).long()),
    "index": lambda x: torch.arange(20.0)[(x * 9).long()],
    "index two": lambda x: x[:, torch.tensor([0, 3]), torch.tensor([1, -1])],
    "select": lambda x: x.index_select(2, torch.tensor([5, 0])),
    "embedding": lambda x: nn.functional.embedding((x * 3).long(), torch.arange(10.0).view(5, 2)),
    "flip": lambda x: x.flip(1, 2),
    "cat": lambda x: torch.cat([x, x[:, :2], -x], 1),
    "pad": lambda x: nn.functional.pad(x, (1, 2, 0, 3), value=7.0),
    "pad rows": lambda x: nn.functional.pad(x, (0, 0, 2, 0)),
    "flat": lambda x: x.mT.reshape(1, -1) * torch.arange(36.0),
    "solve": lambda x: torch.linalg.solve_triangular(x.tril() + torch.eye(6), x[..., :2], upper=False),
    "solve upper": lambda x: torch.linalg.solve_triangular(x.triu() + torch.eye(6), x[..., :3], upper=True),
    "diagonal": lambda x: x.diagonal(dim1=-2, dim2=-1).contiguous() * 2,
    "chunk": lambda x: torch.cat(x.chunk(2, -1)[::-1], -1),
}  # fmt: skip
IMAGES = torch.Generator().manual_seed(0)
WEIGHT = torch.rand(6, 4, 3, 2, generator=IMAGES)
CONVOLUTIONS = {
    "plain": lambda x: nn.functional.conv2d(x, WEIGHT[:, :, :, :]),
    "strided": lambda x: nn.functional.conv2d(x, WEIGHT, torch.arange(6.0), stride=(2, 1), padding=(1, 2)),
    "dilated": lambda x: nn.functional.conv2d(x, WEIGHT, dilation=(2, 3), padding=3),
    "groups": lambda x: nn.functional.conv2d(x, WEIGHT[:, :2], torch.arange(6.0), groups=2),
    "transposed": lambda x: nn.functional.conv_transpose2d(x, WEIGHT[:4], torch.arange(4.0), stride=2, padding=1),
    "transposed groups": lambda x: nn.functional.conv_transpose2d(
        x, WEIGHT[:4], stride=(1, 3), output_padding=(0, 1), groups=2, dilation=(2, 1)
    ),
    "last": lambda x: nn.functional.conv2d(x.to(memory_format=torch.channels_last), WEIGHT).permute(0, 2, 3, 1) * 2,
    "several": lambda x: nn.functional.conv2d(x.view(4, 1, 7, 9).expand(4, 4, 7, 9), WEIGHT),
}


def check(run_in_page, made: Function) -> None:
    wanted = made.module(*made.inputs.values())["y"].flatten().double()
    found = run_in_page(made, made.inputs, [], ["y"])["y"]
    torch.testing.assert_close(torch.from_numpy(found), wanted, rtol=1e-5, atol=2e-6, equal_nan=True)


@pytest.mark.thorough(0.1)
@pytest.mark.parametrize("name", CALLS)
def test_an_operation_gives_the_numbers_of_torch(run_in_page, name) -> None:
    check(run_in_page, function(CALLS[name], 6, 6))


@pytest.mark.thorough(0.3)
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_convolution_gives_the_numbers_of_torch(run_in_page, name) -> None:
    check(run_in_page, function(CONVOLUTIONS[name], 4, 7, 9))


@pytest.mark.thorough(0.2, group="tables of the page")
def test_the_two_tables_have_the_same_names(run_in_page, tab) -> None:
    made = {step.name for name in CALLS for step in lowered(function(CALLS[name], 6, 6)).steps}
    made |= {step.name for name in CONVOLUTIONS for step in lowered(function(CONVOLUTIONS[name], 4, 7, 9)).steps}
    check(run_in_page, function(torch.abs, 2))
    assert made == set(tab.evaluate("Object.keys(vaelab.OPERATIONS)"))


def test_an_unknown_operation_is_refused_by_name() -> None:
    with pytest.raises(SpecError, match="median"):
        lowered(function(lambda x: x.median(), 3, 3))


def test_noise_that_is_no_input_is_refused() -> None:
    with pytest.raises(SpecError, match="noise is no input"):
        lowered(function(lambda x: x + torch.rand(3), 3, 3))
