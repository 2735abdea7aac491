"""What a part may have besides its contract: each capability once, and how to ask for it.

A capability is a Protocol with members that a part may have: `has(part, Capability)` asks for it. An attribute with a
default is in `ATTRIBUTES`: `declared(part, name)` reads it. Nothing else is asked of a part by name. The table in
`docs/extending.md` lists both, and a test compares it with this page.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from typing_extensions import TypeIs, get_protocol_members

if TYPE_CHECKING:
    from torch import Tensor, nn

    from vaelab.models import VAE
    from vaelab.networks.stages import Stage
    from vaelab.objectives.criterion import Criterion

C = TypeVar("C")


class InitialisedFromData(Protocol):
    """A module that starts from training images: data-dependent initialisation. For example a prior's pseudo-inputs."""

    initial_images: int  # how many it asks for; SpecError if there are fewer

    def initialise(self, pixels: Tensor, /) -> None:
        """Start from images [initial_images, C, H, W] in [0, 1], on the module's device. Called once, before step 1."""
        ...


class InitialisedFromLatents(Protocol):
    """A prior that starts from latent vectors when it is fitted after training (`--refit`)."""

    def initialise_from_latents(self, z: Tensor, /) -> None:
        """Start from draws z [n, D] of the aggregate posterior q(z)."""
        ...


class FitSettings(NamedTuple):
    """How a prior is fitted after training, by Adam; the learning rate falls to 0 along half a cosine."""

    steps: int
    batch: int  # latent vectors in a step
    learning_rate: float


class HasFitSettings(Protocol):
    """A prior with settings of its own for the fit after training."""

    def fit_settings(self, count: int, /) -> FitSettings:
        """The settings for a fit to `count` latent vectors."""
        ...


class Calibrated(Protocol):
    """A module with numbers that are computed from training images, not trained step by step.

    It is called at each validation and at the end of training, in evaluation mode. The numbers are buffers, so that
    they are saved with the weights.
    """

    def calibrate(self, batches: Iterable[tuple[VAE, Tensor]], /) -> None:
        """Compute the numbers from batches: the model conditioned on their labels, and x [B, C, H, W]."""
        ...


class StartsAtMean(Protocol):
    """A likelihood head whose decoder can start at the mean training image (`--start mean`)."""

    def parameters_for_mean(self, mean: Tensor, /) -> Tensor:
        """Parameters [*parameter_shape] with which every image has the mean `mean` [C, H, W], values in (0, 1).

        They are added to the output of the network.
        """
        ...


class HasLatentGrid(Protocol):
    """A posterior whose z is a grid of vectors in levels. The decoder is given their sum over the levels, [d, H, W]."""

    latent_grid: tuple[int, ...]  # (L, d, H, W): z [D] is such an array row by row, D = L d H W


class HasCodebooks(HasLatentGrid, Protocol):
    """A posterior whose vectors are out of codebooks, which priors over codes share."""

    @property
    def books(self) -> Sequence[Any]:
        """A `vaelab.distributions.Codebook` for each level."""
        ...


class HasStages(Protocol):
    """A network that comes in stages, so that it can carry a hierarchy of latent variables (`--model ladder`)."""

    def stages(self, in_shape: tuple[int, ...], /) -> list[Stage]:
        """The stages from the image inwards, for images of `in_shape` (C, H, W)."""
        ...


class ChecksModel(Protocol):
    """An objective that cannot train every model."""

    def check(self, model: VAE, batch: int, /) -> None:
        """Raise SpecError if it cannot train `model` by batches of `batch` images. Called before step 1."""
        ...


class HasCriterion(Protocol):
    """An objective that says by what the weights of a training are chosen; otherwise by its own loss."""

    @property
    def judged_by(self) -> Criterion:
        """The criterion, with the objective's schedule: no weights are chosen while it moves."""
        ...


class RunsInBfloat16(Protocol):
    """A module whose networks run in bfloat16 while `use_bfloat16` is set (`--precision bfloat16`)."""

    use_bfloat16: bool


class HasHead(Protocol):
    """An encoder or decoder that is a network and a head, such as a `vaelab.Conditional`."""

    @property
    def head(self) -> Any:
        """What turns the network's output into a distribution: a Head."""
        ...


class HasContext(Protocol):
    """An encoder or decoder of a VAE: a module that gives a distribution."""

    context_shape: tuple[int, ...]  # of what it is given: (C, H, W) for an encoder, (D,) for a decoder

    def __call__(self, context: Tensor, /) -> Any:
        """The distribution given `context` [..., *context_shape], batch [...]."""
        ...


class Attribute(NamedTuple):
    """An attribute that a part may declare."""

    of: str  # the kind of part
    default: Any  # the value of parts that do not declare it
    meaning: str


ATTRIBUTES = {
    "support": Attribute(
        "prior, posterior",
        "real",
        'where z is: "real" (all of R^D), "sphere" (its unit vectors), "codes" (vectors out of codebooks); of a prior '
        'also "posterior" (where q(z|x) is)',
    ),
    "inverts": Attribute(
        "posterior", False, "whether the density of a z that it did not draw takes D passes of a network"
    ),
    "calibrates_scale": Attribute(
        "likelihood", False, "whether its scale is computed from the data without a gradient, so is not a fixed one"
    ),
    "protocols": Attribute("decoder in one piece", (), "the protocols whose pixels it describes; () for any"),
    "admitted": Attribute("decoder in one piece", (), "protocols on which its value is no likelihood"),
    "mean_is_estimated": Attribute(
        "distribution", False, "whether its `mean` is an average over draws, with other draws each time"
    ),
    "beta": Attribute("objective", None, "the weight of the rate"),
    "warmup": Attribute("objective", 0, "steps in which that weight rises"),
    "samples": Attribute("objective", 1, "S, draws of z for each image"),
    "admits_point": Attribute("objective", True, "whether it can train a model whose q(z|x) is a point"),
    "hierarchical": Attribute("model", False, "whether z comes in groups, each conditioned on those above it"),
    "importance_weighted": Attribute("objective", False, "whether it weighs draws of z by importance"),
}


@cache
def members(contract: type) -> tuple[str, ...]:
    """The names of what a contract or capability asks for, in the order of its definition."""
    found = get_protocol_members(contract)
    bases = reversed(contract.__mro__)
    defined = [name for base in bases for name in (*inspect.get_annotations(base), *vars(base)) if name in found]
    return tuple(dict.fromkeys(defined))


def methods(contract: type) -> tuple[str, ...]:
    """Those of its `members` that a class has before an object is made."""
    return tuple(name for name in members(contract) if inspect.isfunction(getattr(contract, name, None)))


def has(part: object, capability: Callable[..., C]) -> TypeIs[C]:
    """Whether `part` has all members of a capability.

    `isinstance` would not do: from Python 3.12 on it overlooks the submodules and buffers of an `nn.Module`.
    """
    return all(hasattr(part, name) for name in members(capability))  # pyright: ignore[reportArgumentType]


def modules_with(model: nn.Module, capability: Callable[..., C]) -> Iterator[C]:
    """The modules of `model` that have a capability, in the order of `model.modules()`."""
    return (module for module in model.modules() if has(module, capability))


def declared(part: object, name: str) -> Any:
    """The attribute `name` of `ATTRIBUTES` as `part` (or its class) declares it; its default if it does not."""
    return getattr(part, name, ATTRIBUTES[name].default)


def head_of(part: object) -> Any:
    """The head of an encoder or decoder; the part itself if it is in one piece."""
    return part.head if has(part, HasHead) else part
