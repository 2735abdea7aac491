"""Vectors of codes: codebooks that learn what stands for what, and the distributions of z that are made of them.

z [..., D] holds the codes of every level and place one behind the other, as an array [L, d, P] row by row, D = L d P.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint

from vaelab.distributions.shape import SampleShape, drawn_shape
from vaelab.system.errors import SpecError

WORDS = {torch.float32: torch.int32, torch.float64: torch.int64}  # as wide as their numbers
BASE = 0x2545F4914F6CDD1D  # odd: its powers are a polynomial's, modulo 2^64, by which a vector's bits become one number


class Codebook(nn.Module):
    """K codes, each where the vectors are that it stands for: k-means over moving averages, of batch after batch.

    A vector is given the nearest code. In training mode the codes then move to what they were given for: with s_k the
    share of the batch that is nearest to c_k, and m_k its mean,

        u_k <- gamma u_k + (1 - gamma) s_k,
        c_k <- c_k + (1 - gamma) s_k / u_k (m_k - c_k),

    which makes c_k the ratio of the moving averages of sums and counts (van den Oord, Vinyals & Kavukcuoglu 2017,
    appendix A.1). What is given are codes as they are behind the move, so that z is of the codebook that there is. A
    code with u_k < r / K starts anew before all that, at a vector of the batch and with u_k = 1 / K (after Zeghidour et
    al. 2021, section III-C); so all of them do at first.

    Arguments:
        size: K, at least 2.
        length: d, numbers of a code.
        decay: gamma, between 0 and 1.
        restart: r, a share of an even use, between 0 and 1.

    Raises:
        SpecError: a size or share outside of that.
    """

    codes: Tensor  # [K, d]
    uses: Tensor  # u, [K]

    def __init__(self, size: int, length: int, decay: float, restart: float) -> None:
        super().__init__()
        if size < 2:
            raise SpecError(found=f"size = {size}", expected="at least 2 codes", do="use, say, size=512")
        for name, share, say in (("decay", decay, 0.99), ("restart", restart, 0.1)):
            if not 0 < share < 1:
                found = f"{name} = {share:g}"
                raise SpecError(found=found, expected="a share between 0 and 1", do=f"use, say, {name}={say}")
        self.decay, self.restart = decay, restart
        self.register_buffer("codes", torch.randn(size, length))
        self.register_buffer("uses", torch.zeros(size))

    def extra_repr(self) -> str:
        return f"{self.codes.shape}, decay={self.decay}, restart={self.restart}"

    @torch.no_grad()
    def forward(self, vectors: Tensor) -> Tensor:
        """The code of each of `vectors`, [..., d]."""
        rows = vectors.flatten(0, -2)
        if self.training:
            self._restart(rows)
        k = self.nearest(rows)
        if self.training:
            self._follow(rows, k)
        return self.codes[k].reshape(vectors.shape)

    def nearest(self, rows: Tensor) -> Tensor:
        """Of vectors [M, d] the number of the code that is nearest, [M]."""
        return torch.addmm(self.codes.square().sum(-1), rows, self.codes.T, alpha=-2).argmin(-1)

    def find(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Which code each of `vectors` [..., d] is, and whether it is one, [...]: to the last bit of every number.

        Where two codes are next to each other, distances would tell them apart no better than they are rounded.
        """
        known, order = _fingerprints(self.codes).sort()
        place = torch.searchsorted(known, _fingerprints(vectors)).clamp(max=len(order) - 1)  # beyond all: not found
        k = order[place]
        return k, (self.codes[k] == vectors).all(-1)

    def _restart(self, rows: Tensor) -> None:
        size, count = len(self.codes), len(rows)
        unused = self.uses < self.restart / size
        some = torch.randperm(count, device=rows.device)[torch.arange(size, device=rows.device) % count]
        self.codes.copy_(torch.where(unused.unsqueeze(-1), rows[some], self.codes))
        self.uses.copy_(torch.where(unused, 1 / size, self.uses))

    def _follow(self, rows: Tensor, k: Tensor) -> None:
        """`rows` [M, d] were given the codes `k` [M]."""
        # By products: what threads scatter they add up in an order of their own each time
        given = (k.unsqueeze(-1) == torch.arange(len(self.codes), device=k.device)).to(rows.dtype)  # [M, K]
        count, total = given.sum(0), given.T @ rows
        gain = (1 - self.decay) / len(rows)
        self.uses.copy_(self.decay * self.uses + gain * count)
        self.codes.add_(gain * (total - count.unsqueeze(-1) * self.codes) / self.uses.unsqueeze(-1))


def _fingerprints(vectors: Tensor) -> Tensor:
    """A number of 64 bits for each vector [..., d], the same for the same: [...]. Integers know no rounding."""
    words = (vectors + 0.0).view(WORDS[vectors.dtype]).long()  # -0 becomes 0
    powers = torch.full((vectors.shape[-1],), BASE, device=vectors.device).cumprod(0)
    return (words * powers).sum(-1)


class Quantised(Distribution):
    """q(z|x): all of its mass at one z, whose log-probability is 0 and that of any other -infinity.

    Arguments:
        z: [..., D].
        residuals: what each level leaves of the vectors that are quantised, [..., L, P, d].
    """

    has_rsample = True

    def __init__(self, z: Tensor, residuals: Tensor) -> None:
        self.z, self.residuals = z, residuals
        super().__init__(z.shape[:-1], z.shape[-1:], validate_args=False)

    @property
    def arg_constraints(self) -> dict[str, Constraint]:
        return {}

    @property
    def mean(self) -> Tensor:
        return self.z

    def rsample(self, sample_shape: SampleShape = torch.Size()) -> Tensor:  # noqa: B008
        return self.z.expand(drawn_shape(self, sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        return torch.where((value == self.z).all(-1), 0.0, -torch.inf).to(value.dtype)


class Coded(Distribution):
    """z whose codes have the numbers k [L, P] ~ p: log p(z) = log p(k), and -infinity where z is not made of codes.

    Arguments:
        books: of each level.
        places: P.
        numbers: p, over [L, P].
    """

    def __init__(self, books: Sequence[Codebook], places: int, numbers: Distribution) -> None:
        self.books, self.places, self.numbers = books, places, numbers
        self.codes = books[0].codes
        super().__init__(event_shape=torch.Size([len(books) * places * self.codes.shape[1]]), validate_args=False)

    @property
    def arg_constraints(self) -> dict[str, Constraint]:
        return {}

    def read(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The numbers k of the codes in z [..., D], [..., L, P], and whether all of it are codes, [...]."""
        vectors = z.reshape(*z.shape[:-1], len(self.books), -1, self.places).transpose(-1, -2)
        found = [book.find(of) for book, of in zip(self.books, vectors.unbind(-3), strict=True)]
        k, known = (torch.stack(parts, -2) for parts in zip(*found, strict=True))
        return k, known.all((-2, -1))

    def write(self, k: Tensor) -> Tensor:
        """z [..., D] of the codes with the numbers k [..., L, P]."""
        vectors = [book.codes[of] for book, of in zip(self.books, k.unbind(-2), strict=True)]
        return torch.stack(vectors, -3).transpose(-1, -2).flatten(-3)

    def log_prob(self, value: Tensor) -> Tensor:
        k, known = self.read(value)
        return torch.where(known, self.numbers.log_prob(k), -torch.inf)

    def sample(self, sample_shape: SampleShape = torch.Size()) -> Tensor:  # noqa: B008
        with torch.no_grad():
            return self.write(self.numbers.sample(sample_shape))
