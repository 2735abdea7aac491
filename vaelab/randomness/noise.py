"""Random numbers as a function of (seed, step): counter-based, without a state.

Threefry-2x32 turns a key and a counter into two random words. It has 13 rounds here, the fewest that pass all tests of
randomness in the source (Salmon, Moraes, Dror & Shaw 2011, section 3.2 and table 2). No state passes from one draw to
the next. So a step has the same noise when it is taken again, when the graph of a GPU is replayed, and when many runs
are trained as one program. A CPU and a GPU get the same bits.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

ROUNDS, ROTATIONS = 13, (13, 15, 26, 6, 17, 29, 16, 24)
PARITY = 0x1BD11BDA


def threefry(key: tuple[Tensor, Tensor], counter: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Two random words for a key and a counter of two words each, all int32.

    It works in place: without a compiler, the access to memory takes most of the time.
    """
    keys = (*key, key[0] ^ key[1] ^ PARITY)
    x, y = counter[0] + keys[0], counter[1] + keys[1]
    for i in range(1, ROUNDS + 1):
        by = ROTATIONS[(i - 1) % 8]
        x += y
        left = y << by
        y >>= 32 - by
        y &= (1 << by) - 1  # the shift of a negative int32 fills with ones
        y |= left
        y ^= x
        if i % 4 == 0:
            x += keys[i // 4 % 3]
            y += keys[(i // 4 + 1) % 3] + i // 4
    return x, y


def key_of(seed: int, device: torch.device | str = "cpu") -> Tensor:
    """The key of a seed: its 64 bits as int32 [2]."""
    return torch.tensor([seed & 0xFFFFFFFF, seed >> 32], dtype=torch.uint32).view(torch.int32).to(device)


class Noise(TorchFunctionMode):
    """A context in which a draw of torch depends on (key, step, number of the draw, place in the tensor) only.

    It applies to each call of a function in `DRAWS`, also inside `torch.distributions`, compiled or not. Other draws,
    such as dropout, and calls with options that are not in `OPTIONS`, use torch's own generator.

    Arguments:
        key: of the run (`key_of`), int32 [2].
        step: integer [].
        mapped: whether this is inside `torch.func.vmap` over keys.
    """

    def __init__(self, key: Tensor, step: Tensor, mapped: bool = False) -> None:
        super().__init__()
        self.key, self.step, self.mapped, self.draws = key, step, mapped, 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        draw = DRAWS.get(func) if kwargs.keys() <= OPTIONS else None  # a caller with a generator wants its draws
        if func is Tensor.unflatten:  # torch's compiler (2.13) cannot trace this method inside such a context
            func = torch.unflatten
        return func(*args, **kwargs) if draw is None else draw(self, *args, **kwargs)

    def words(self, shape: torch.Size) -> tuple[Tensor, Tensor]:
        """The next draw: two random words for each place of `shape`, int32."""
        self.draws += 1
        places = torch.arange(shape.numel(), dtype=torch.int32, device=self.key.device).view(shape)
        return threefry((self.key[0], self.key[1] + self.draws), (places, self.step.to(torch.int32).expand(shape)))

    def uniform(self, shape: torch.Size) -> Tensor:
        """The next draw from U[0, 1): multiples of 2^-24, float32."""
        # Of the two words one is used. A tensor of both halves would be slower: the compiler computes all for each half
        return _fraction(self.words(shape)[0])

    def normal(self, shape: torch.Size) -> Tensor:
        """The next draw from N(0, 1), float32 (Box & Muller 1958)."""
        first, second = self.words(shape)
        radius = (-2 * torch.log(1 - _fraction(first))).sqrt()  # in (0, 1], so that the logarithm is finite
        return radius * torch.cos(2 * math.pi * _fraction(second))


def _fraction(words: Tensor) -> Tensor:
    return ((words >> 8) & 0xFFFFFF).float() * 2**-24


# The replacements of torch's draws. Their device is that of the key.

OPTIONS = {"dtype", "device", "mean", "std", "size"}


def _shape(axes: tuple[Any, ...], size: Any) -> torch.Size:
    """The shape that rand(3, 2), rand((3, 2)) and rand(size=(3, 2)) ask for."""
    if size is not None:
        return torch.Size(size)
    return torch.Size(axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes)


def _rand(noise: Noise, *axes: Any, size: Any = None, dtype: torch.dtype | None = None, device: Any = None) -> Tensor:
    return noise.uniform(_shape(axes, size)).to(dtype or torch.get_default_dtype())


def _randn(noise: Noise, *axes: Any, size: Any = None, dtype: torch.dtype | None = None, device: Any = None) -> Tensor:
    return noise.normal(_shape(axes, size)).to(dtype or torch.get_default_dtype())


def _rand_like(noise: Noise, like: Tensor, dtype: torch.dtype | None = None, device: Any = None) -> Tensor:
    return noise.uniform(like.shape).to(dtype or like.dtype)


def _randn_like(noise: Noise, like: Tensor, dtype: torch.dtype | None = None, device: Any = None) -> Tensor:
    return noise.normal(like.shape).to(dtype or like.dtype)


def _bernoulli(noise: Noise, chance: Tensor) -> Tensor:
    return (noise.uniform(chance.shape) < chance).to(chance.dtype)


def _normal(noise: Noise, mean: Any, std: Any = 1.0, size: Any = None) -> Tensor:
    mean, std = torch.as_tensor(mean), torch.as_tensor(std)
    drawn = noise.normal(torch.broadcast_shapes(mean.shape, std.shape) if size is None else torch.Size(size))
    return mean + std * drawn.to(torch.promote_types(mean.dtype, std.dtype))


def _randperm(noise: Noise, n: int, device: Any = None) -> Tensor:
    return noise.uniform(torch.Size([n])).argsort()


def _uniform_(noise: Noise, into: Tensor, low: float = 0.0, high: float = 1.0) -> Tensor:
    return _put(noise, into, low + (high - low) * noise.uniform(into.shape))


def _normal_(noise: Noise, into: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    return _put(noise, into, mean + std * noise.normal(into.shape))


def _exponential_(noise: Noise, into: Tensor, rate: float = 1.0) -> Tensor:
    return _put(noise, into, -torch.log1p(-noise.uniform(into.shape)) / rate)


def _put(noise: Noise, into: Tensor, drawn: Tensor) -> Tensor:
    if not noise.mapped:
        return into.copy_(drawn)
    # `into` is one tensor for all mapped runs, and cannot hold a draw of each: the draw is what is returned, as
    # torch.distributions expect. Code that reads `into` instead gets NaN, not a wrong draw.
    into.fill_(torch.nan)
    return drawn.to(into.dtype)


DRAWS: dict[Callable[..., Any], Callable[..., Tensor]] = {
    torch.rand: _rand,
    torch.randn: _randn,
    torch.rand_like: _rand_like,
    torch.randn_like: _randn_like,
    torch.bernoulli: _bernoulli,
    torch.normal: _normal,
    torch.randperm: _randperm,
    Tensor.uniform_: _uniform_,
    Tensor.normal_: _normal_,
    Tensor.exponential_: _exponential_,
}
