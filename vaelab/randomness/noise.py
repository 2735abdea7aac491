"""Random numbers that are a function of (seed, step): a counter instead of a state.

Threefry-2x32 with 13 rounds, the fewest that pass all tests of randomness there (Salmon, Moraes, Dror & Shaw 2011,
section 3.2 and table 2), turns a key and a counter into two random words. Nothing goes from one draw to the next, so a
step can be taken again, a graph of a device replayed and many runs trained as one program, all on the noise that each
step would have had alone; and a CPU and a GPU see the same bits.
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

    In place: without a compiler, what it costs is the memory that it goes through.
    """
    keys = (*key, key[0] ^ key[1] ^ PARITY)
    x, y = counter[0] + keys[0], counter[1] + keys[1]
    for i in range(1, ROUNDS + 1):
        by = ROTATIONS[(i - 1) % 8]
        x += y
        left = y << by
        y >>= 32 - by
        y &= (1 << by) - 1  # an int32 shifts its sign in
        y |= left
        y ^= x
        if i % 4 == 0:
            x += keys[i // 4 % 3]
            y += keys[(i // 4 + 1) % 3] + i // 4
    return x, y


def key_of(seed: int, device: torch.device | str = "cpu") -> Tensor:
    """The 64 bits of `seed` as a key, int32 [2]."""
    return torch.tensor([seed & 0xFFFFFFFF, seed >> 32], dtype=torch.uint32).view(torch.int32).to(device)


class Noise(TorchFunctionMode):
    """While this lasts, what torch draws is a function of (key, step, number of the draw, place in the tensor) alone.

    It reaches into `torch.distributions` and whatever else calls a function of `DRAWS`, compiled or not. What draws
    otherwise, such as dropout, or with options that are not known here, goes on with torch's own generator.

    Arguments:
        key: int32 [2], of the run (`key_of`).
        step: integer [].
        mapped: whether this is inside `torch.func.vmap`, with a key for each of the mapped ones.
    """

    def __init__(self, key: Tensor, step: Tensor, mapped: bool = False) -> None:
        super().__init__()
        self.key, self.step, self.mapped, self.draws = key, step, mapped, 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        draw = DRAWS.get(func) if kwargs.keys() <= OPTIONS else None  # who brings a generator means that one
        if func is Tensor.unflatten:  # a method that torch's compiler (2.13) cannot look into under a mode
            func = torch.unflatten
        return func(*args, **kwargs) if draw is None else draw(self, *args, **kwargs)

    def words(self, shape: torch.Size) -> tuple[Tensor, Tensor]:
        """Two random words for each place of `shape`, int32, of the next draw."""
        self.draws += 1
        places = torch.arange(shape.numel(), dtype=torch.int32, device=self.key.device).view(shape)
        return threefry((self.key[0], self.key[1] + self.draws), (places, self.step.to(torch.int32).expand(shape)))

    def uniform(self, shape: torch.Size) -> Tensor:
        """Of [0, 1), multiples of 2^-24, float32."""
        # One word of the two: both would make two halves of it, and the compiler computes each half from the start
        return _fraction(self.words(shape)[0])

    def normal(self, shape: torch.Size) -> Tensor:
        """Of N(0, 1), float32 (Box & Muller 1958)."""
        first, second = self.words(shape)
        radius = (-2 * torch.log(1 - _fraction(first))).sqrt()  # of (0, 1]: the logarithm is finite
        return radius * torch.cos(2 * math.pi * _fraction(second))


def _fraction(words: Tensor) -> Tensor:
    return ((words >> 8) & 0xFFFFFF).float() * 2**-24


# What stands in for each of torch's draws. The device is that of the key.

OPTIONS = {"dtype", "device", "mean", "std", "size"}


def _shape(axes: tuple[Any, ...], size: Any) -> torch.Size:
    """Of rand(3, 2), rand((3, 2)) and rand(size=(3, 2))."""
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
    # `into` is one tensor for all that are mapped, and cannot take a draw of each. Whoever looks at it, and not at
    # what is returned, as torch.distributions do, is to see that.
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
