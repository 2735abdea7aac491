"""Vectors of codes: codebooks that are learned, and the distributions of z over codes.

z [..., D] holds the codes of all levels and places, flattened from an array [L, d, P] in row-major order, D = L d P.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint

from vaelab.distributions.shape import SampleShape, drawn_shape
from vaelab.system.errors import SpecError

WORDS = {torch.float32: torch.int32, torch.float64: torch.int64}  # integers as wide as each float type
BASE = 0x2545F4914F6CDD1D  # odd; a vector's bits are hashed to a polynomial in BASE modulo 2^64


class Codebook(nn.Module):
    """K codes that are learned by k-means, with moving averages over the batches.

    Each vector is assigned to its nearest code. In training mode the codes then move towards their vectors. With s_k
    the proportion of the batch that is nearest to c_k, and m_k the mean of these vectors,

        u_k <- gamma u_k + (1 - gamma) s_k,
        c_k <- c_k + (1 - gamma) s_k / u_k (m_k - c_k),

    so c_k is the ratio of the moving averages of sums and counts (van den Oord, Vinyals & Kavukcuoglu 2017,
    appendix A.1). The codes are returned after the update, so that z consists of codes in the current codebook. Before
    the update, each code with u_k < r / K is restarted at a vector of the batch, with u_k = 1 / K (after Zeghidour et
    al. 2021, section III-C). In the first batch all codes are restarted.

    Arguments:
        size: K, at least 2.
        length: d, the length of a code.
        decay: gamma, between 0 and 1.
        restart: r, a proportion of uniform use, between 0 and 1.

    Raises:
        SpecError: a size or proportion is outside these ranges.
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
                raise SpecError(found=found, expected="a number between 0 and 1", do=f"use, say, {name}={say}")
        self.decay, self.restart = decay, restart
        self.register_buffer("codes", torch.randn(size, length))
        self.register_buffer("uses", torch.zeros(size))

    def extra_repr(self) -> str:
        return f"{self.codes.shape}, decay={self.decay}, restart={self.restart}"

    @torch.no_grad()
    def forward(self, vectors: Tensor) -> Tensor:
        """Return the code of each of `vectors`, [..., d]."""
        rows = vectors.flatten(0, -2)
        if self.training:
            self._restart(rows)
        k = self.nearest(rows)
        if self.training:
            self._follow(rows, k)
        return self.codes[k].reshape(vectors.shape)

    def nearest(self, rows: Tensor) -> Tensor:
        """Return the index of the nearest code of each vector [M, d], [M]."""
        return torch.addmm(self.codes.square().sum(-1), rows, self.codes.T, alpha=-2).argmin(-1)

    def find(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Return the index of the code that equals each of `vectors` [..., d] bit for bit, and whether one does, [...].

        Distances could not separate two codes that are very close: the difference would be below the rounding error.
        """
        known, order = _fingerprints(self.codes).sort()
        place = torch.searchsorted(known, _fingerprints(vectors)).clamp(max=len(order) - 1)  # above all: not found
        k = order[place]
        return k, (self.codes[k] == vectors).all(-1)

    def _restart(self, rows: Tensor) -> None:
        size, count = len(self.codes), len(rows)
        unused = self.uses < self.restart / size
        some = torch.randperm(count, device=rows.device)[torch.arange(size, device=rows.device) % count]
        self.codes.copy_(torch.where(unused.unsqueeze(-1), rows[some], self.codes))
        self.uses.copy_(torch.where(unused, 1 / size, self.uses))

    def _follow(self, rows: Tensor, k: Tensor) -> None:
        """Update the codes, given that `rows` [M, d] were assigned to the codes `k` [M]."""
        # A matrix product, because scatter adds in an order that differs from run to run
        given = (k.unsqueeze(-1) == torch.arange(len(self.codes), device=k.device)).to(rows.dtype)  # [M, K]
        count, total = given.sum(0), given.T @ rows
        gain = (1 - self.decay) / len(rows)
        self.uses.copy_(self.decay * self.uses + gain * count)
        self.codes.add_(gain * (total - count.unsqueeze(-1) * self.codes) / self.uses.unsqueeze(-1))


def _fingerprints(vectors: Tensor) -> Tensor:
    """Return a 64-bit hash of each vector [..., d], [...]. Equal vectors have equal hashes: integers do not round."""
    words = (vectors + 0.0).view(WORDS[vectors.dtype]).long()  # -0 becomes 0
    powers = torch.full((vectors.shape[-1],), BASE, device=vectors.device).cumprod(0)
    return (words * powers).sum(-1)


class Quantised(Distribution):
    """A point mass q(z|x): log-probability 0 at its one z and -infinity elsewhere.

    Arguments:
        z: [..., D].
        residuals: what remains of the quantised vectors after each level, [..., L, P, d].
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
    """z with code indices k [L, P] ~ p: log p(z) = log p(k), or -infinity if z does not consist of codes.

    Arguments:
        books: the codebook of each level.
        places: P.
        numbers: p, the distribution of the indices [L, P].
    """

    def __init__(self, books: Sequence[Codebook], places: int, numbers: Distribution) -> None:
        self.books, self.places, self.numbers = books, places, numbers
        self.codes = books[0].codes
        super().__init__(event_shape=torch.Size([len(books) * places * self.codes.shape[1]]), validate_args=False)

    @property
    def arg_constraints(self) -> dict[str, Constraint]:
        return {}

    def read(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return the indices [..., L, P] of the codes in z [..., D], and whether z consists of codes only, [...]."""
        vectors = z.reshape(*z.shape[:-1], len(self.books), -1, self.places).transpose(-1, -2)
        found = [book.find(of) for book, of in zip(self.books, vectors.unbind(-3), strict=True)]
        k, known = (torch.stack(parts, -2) for parts in zip(*found, strict=True))
        return k, known.all((-2, -1))

    def write(self, k: Tensor) -> Tensor:
        """Return z [..., D] for the code indices k [..., L, P]."""
        vectors = [book.codes[of] for book, of in zip(self.books, k.unbind(-2), strict=True)]
        return torch.stack(vectors, -3).transpose(-1, -2).flatten(-3)

    def log_prob(self, value: Tensor) -> Tensor:
        k, known = self.read(value)
        return torch.where(known, self.numbers.log_prob(k), -torch.inf)

    def sample(self, sample_shape: SampleShape = torch.Size()) -> Tensor:  # noqa: B008
        with torch.no_grad():
            return self.write(self.numbers.sample(sample_shape))
