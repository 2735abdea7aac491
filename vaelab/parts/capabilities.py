"""The capabilities that a part may have in addition to its contract, and how to check for them.

A capability is a Protocol with members that a part may have: `has(part, Capability)` checks for them. `ATTRIBUTES` has
the attributes with a default: `declared(part, name)` reads one. vaelab uses no other members of a part by name. The
table in `docs/extending.md` lists both, and a test compares it with this file.
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
    """A module that starts from training images (data-dependent initialisation), such as a prior's pseudo-inputs."""

    initial_images: int  # the number of images that it needs; SpecError if there are fewer

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

    `calibrate` is called at each validation and at the end of training, in evaluation mode. The numbers are buffers, so
    they are saved with the weights.
    """

    def calibrate(self, batches: Iterable[tuple[VAE, Tensor]], /) -> None:
        """Compute the numbers from batches: the model conditioned on their labels, and x [B, C, H, W]."""
        ...


class StartsAtMean(Protocol):
    """A likelihood head whose decoder can start at the mean training image (`--start mean`)."""

    def parameters_for_mean(self, mean: Tensor, /) -> Tensor:
        """Parameters [*parameter_shape] that give every image the mean `mean` [C, H, W], values in (0, 1).

        They are added to the output of the network.
        """
        ...


class HasParameterScales(Protocol):
    """A posterior head whose parameters can be fitted to one image, as the likelihood regret does."""

    def parameter_scales(self, parameters: Tensor, /) -> Tensor:
        """The natural size of a change of each of the parameters [..., P], of their shape.

        That of a mean is its standard deviation, that of the log of a standard deviation is 1.
        """
        ...


class HasLatentGrid(Protocol):
    """A posterior with z as a grid of vectors in levels. The decoder receives their sum over the levels, [d, H, W]."""

    latent_grid: tuple[int, ...]  # (L, d, H, W): z [D] is such an array row by row, D = L d H W


class HasCodebooks(HasLatentGrid, Protocol):
    """A posterior with vectors from codebooks, which priors over codes share."""

    @property
    def books(self) -> Sequence[Any]:
        """A `vaelab.distributions.Codebook` for each level."""
        ...


class HasStages(Protocol):
    """A network that is divided into stages, so that it can have a hierarchy of latent variables (`--model ladder`)."""

    def stages(self, in_shape: tuple[int, ...], /) -> list[Stage]:
        """The stages for images of `in_shape` (C, H, W), starting at the image."""
        ...


class ChecksModel(Protocol):
    """An objective that cannot train every model."""

    def check(self, model: VAE, batch: int, /) -> None:
        """Raise SpecError if it cannot train `model` with batches of `batch` images. Called before step 1."""
        ...


class HasCriterion(Protocol):
    """An objective with a criterion for the choice of weights; without one, its own loss is the criterion."""

    @property
    def judged_by(self) -> Criterion:
        """The criterion, with the objective's schedule: no weights are chosen before the schedule ends."""
        ...


class RunsInBfloat16(Protocol):
    """A module whose networks run in bfloat16 while `use_bfloat16` is set (`--precision bfloat16`)."""

    use_bfloat16: bool


class HasHead(Protocol):
    """An encoder or decoder that consists of a network and a head, such as a `vaelab.Conditional`."""

    @property
    def head(self) -> Any:
        """The Head, which turns the output of the network into a distribution."""
        ...


class HasContext(Protocol):
    """An encoder or decoder of a VAE: a module that gives a distribution."""

    context_shape: tuple[int, ...]  # the shape of its input: (C, H, W) for an encoder, (D,) for a decoder

    def __call__(self, context: Tensor, /) -> Any:
        """The distribution given `context` [..., *context_shape], batch [...]."""
        ...


class Attribute(NamedTuple):
    """An attribute that a part may declare."""

    of: str  # the kind of part
    default: Any  # the value for parts that do not declare it
    meaning: str


ATTRIBUTES = {
    "support": Attribute(
        "prior, posterior",
        "real",
        'where z is: "real" (all of R^D), "sphere" (its unit vectors), "codes" (vectors from codebooks); for a '
        'prior also "posterior" (where q(z|x) is)',
    ),
    "inverts": Attribute(
        "posterior", False, "whether the density of a z that it did not draw takes D passes of a network"
    ),
    "calibrates_scale": Attribute(
        "likelihood", False, "whether its scale is computed from the data without a gradient, so it is not fixed"
    ),
    "protocols": Attribute("decoder in one piece", (), "the protocols whose pixels it describes; () for any"),
    "admitted": Attribute("decoder in one piece", (), "protocols for which its value is not a likelihood"),
    "mean_is_estimated": Attribute(
        "distribution", False, "whether its `mean` is an average over draws, with new draws each time"
    ),
    "beta": Attribute("objective", None, "the weight of the rate"),
    "warmup": Attribute("objective", 0, "the number of steps in which that weight rises"),
    "samples": Attribute("objective", 1, "S, the number of draws of z for each image"),
    "of_batch": Attribute(
        "objective",
        False,
        "whether the loss depends on the images of the batch together, and is not a sum over images; then a batch "
        "cannot be cut into shards",
    ),
    "admits_point": Attribute("objective", True, "whether it can train a model whose q(z|x) is a point"),
    "hierarchical": Attribute("model", False, "whether z comes in groups, each conditioned on those above it"),
    "importance_weighted": Attribute("objective", False, "whether it weights draws of z by importance"),
}


@cache
def members(contract: type) -> tuple[str, ...]:
    """The names of the members of a contract or capability, in the order of their definition."""
    found = get_protocol_members(contract)
    bases = reversed(contract.__mro__)
    defined = [name for base in bases for name in (*inspect.get_annotations(base), *vars(base)) if name in found]
    return tuple(dict.fromkeys(defined))


def methods(contract: type) -> tuple[str, ...]:
    """The methods among the `members` of a contract: a class has them before an object is made."""
    return tuple(name for name in members(contract) if inspect.isfunction(getattr(contract, name, None)))


def has(part: object, capability: Callable[..., C]) -> TypeIs[C]:
    """Whether `part` has all members of a capability.

    `isinstance` does not work: since Python 3.12 it does not see the submodules and buffers of an `nn.Module`.
    """
    return all(hasattr(part, name) for name in members(capability))  # pyright: ignore[reportArgumentType]


def modules_with(model: nn.Module, capability: Callable[..., C]) -> Iterator[C]:
    """The modules of `model` that have a capability, in the order of `model.modules()`."""
    return (module for module in model.modules() if has(module, capability))


def declared(part: object, name: str) -> Any:
    """The attribute `name` of `ATTRIBUTES` that `part` (or its class) declares, or the default."""
    return getattr(part, name, ATTRIBUTES[name].default)


def head_of(part: object) -> Any:
    """The head of an encoder or decoder; the part itself if it has no separate head."""
    return part.head if has(part, HasHead) else part
