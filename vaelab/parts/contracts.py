"""The contract of each kind of part: what your own part must have.

A part is any object with the members of its contract; it needs no base class. `vaelab.parts.capabilities` has the
optional members. `docs/extending.md` shows a part of every kind.

Axes: S samples, B batch, D latent dimensions, C x H x W the image. Densities are in nats for a whole image or latent
vector. A distribution treats the whole image or vector as one event (`torch.distributions.Independent`), so `log_prob`
has the shape of the batch: [S, B] for S draws of B images.

A part may raise `vaelab.VaelabError` with what was found, what was expected and what to do. The command prints it as
one line. Any other exception of your own part also becomes one line, which names the part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:  # only type checkers import these: they are in packages that import this one
    from matplotlib.figure import Figure as Picture
    from torch import Tensor, nn
    from torch.distributions import Distribution

    from vaelab.data.dataset import Contents
    from vaelab.evaluation.measure import EvaluationContext, Metric, Progress
    from vaelab.models import VAE, Draw
    from vaelab.objectives.losses import Losses

Shape = tuple[int, ...]


class Prior(Protocol):
    """p(z): a module that returns a distribution of z.

    Its constructor may ask for `latent` (D), `image_shape` (C, H, W) and `posterior` (the module x -> q(z|x)).
    """

    def __call__(self) -> Distribution:
        """p(z): no batch, event [D]. It has `sample` and `log_prob`; z [S, B, D] -> [S, B]."""
        ...


class Head(Protocol):
    """A function from the output of a network to a distribution. A posterior is a head over z: event [D].

    The constructor of a posterior may ask for `latent` (D) and `image_shape` (C, H, W).
    """

    def parameter_shape(self, event_shape: Shape, /) -> Shape:
        """The shape of the parameters for one event, (D,) or (C, H, W): the network's output for one image."""
        ...

    def __call__(self, parameters: Tensor, /) -> Distribution:
        """The distribution with parameters [..., *parameter_shape]: batch [...], event as in `parameter_shape`.

        A posterior has `rsample` (with a gradient), `log_prob`, and `mean` if its mean is known. A likelihood has
        `sample`, `log_prob` and `mean`; its values are pixels in [0, 1] as the protocol reads them.
        """
        ...


class LikelihoodHead(Head, Protocol):
    """A head over images: event [C, H, W]. Its class (or function) declares which pixels it describes."""

    # The protocols whose pixels it describes, such as "8bit" (see `vaelab.data.protocol`); the first is recommended
    protocols: ClassVar[tuple[str, ...]]
    # Protocols for which its value is not a likelihood, but which a user may choose by name; usually ()
    admitted: ClassVar[tuple[str, ...]]


class Network(Protocol):
    """A recipe for a pair of networks with sizes from the given shapes. It has no parameters itself."""

    def encoder(self, in_shape: Shape, out_shape: Shape, /) -> nn.Module:
        """A module that maps images [N, *in_shape] to [N, *out_shape], the parameters of q(z|x)."""
        ...

    def decoder(self, in_shape: Shape, out_shape: Shape, /) -> nn.Module:
        """A module that maps z [N, *in_shape] to [N, *out_shape], the parameters of p(x|z)."""
        ...


class Model(Protocol):
    """p(z), q(z|x) and p(x|z), composed: an `nn.Module`, in practice a `vaelab.VAE` or a subclass.

    Its constructor may ask for `latent`, `image_shape`, `network`, `posterior`, `likelihood`, `labels`, and `prior`, a
    function (posterior, D) -> Prior.
    """

    @property
    def image_shape(self) -> Shape:
        """(C, H, W)."""
        ...

    @property
    def latent(self) -> int:
        """D, the length of z."""
        ...

    @property
    def support(self) -> str:
        """Where z is: see `support` in `vaelab.parts.capabilities.ATTRIBUTES`."""
        ...

    def __call__(self, x: Tensor, samples: int = 1, /) -> Draw:
        """S = `samples` draws of z ~ q(z|x) for each image of x [B, C, H, W], values in [0, 1]."""
        ...

    def draw(self, x: Tensor, q: Distribution, samples: int = 1, /) -> Draw:
        """The same as calling the model, for a q = q(z|x) that is already computed."""
        ...

    def sample(self, n: int, /) -> Distribution:
        """p(x|z) for n draws z ~ p(z): batch [n]."""
        ...

    def reconstruct(self, x: Tensor, samples: int = 1, /) -> Tensor:
        """The mean of p(x|z) over draws of q(z|x): [B, C, H, W]."""
        ...

    def given(self, labels: Any, /) -> Model:
        """The model conditioned on the labels [B] of its batch; itself if it is not conditioned on labels."""
        ...

    def conditioned(self, condition: Tensor | None, /) -> Model:
        """The same as `given`, from one-hot labels [B, K]."""
        ...


class Objective(Protocol):
    """What is minimised: a function of the model and a batch. An `nn.Module` if it has parameters or buffers.

    Its constructor may ask for `latent` (D) and `images` (the number of training images).
    """

    def __call__(self, model: VAE, x: Tensor, step: Tensor, /) -> tuple[Tensor | Losses, Draw]:
        """The loss of each image, [B] in nats, and the Draw from which rate, distortion and ELBO are reported.

        Arguments:
            model: conditioned on the labels of this batch, if it is conditioned.
            x: [B, C, H, W], values in [0, 1] as the protocol reads them.
            step: number of the step, a tensor of shape [].
        """
        ...


class Schedule(Protocol):
    """A factor of the learning rate."""

    def __call__(self, done: float, /) -> float:
        """The factor after a share `done` of the steps, from 0 to 1."""
        ...


class Source(Protocol):
    """A source of images. Its constructor has only options."""

    @property
    def protocol(self) -> str:
        """The protocol that reads its pixels if the user names none: see `vaelab.data.protocol`."""
        ...

    def read(self) -> Contents:
        """Training images, and validation and test images if it has its own: uint8 [N, C, H, W], 0 black to 255.

        Every call returns the same images, because a run is resumed and evaluated on them.

        Raises:
            DataError: the images cannot be read.
        """
        ...


class Measure(Protocol):
    """A measurement of a trained model; it returns one or more metrics. Its constructor has only options."""

    def check(self, context: EvaluationContext, /) -> None:
        """Raise VaelabError, before any work starts, if `context` cannot be measured."""
        ...

    def __call__(self, context: EvaluationContext, progress: Progress, /) -> list[Metric]:
        """The metrics, made with `context.metric`. From time to time it calls `progress` with the share that is done.

        Every draw is a function of `context.seed` (see `vaelab.evaluation.measure.evaluating`).
        """
        ...


class Figure(Protocol):
    """A figure of a trained model: a function that declares `-> matplotlib.figure.Figure` and is called directly.

    If its `data` has the default None, it is drawn without data.
    """

    def __call__(self, model: VAE, data: Any, /, *, title: str, seed: int) -> Picture:
        """The figure, which depends only on the arguments (see `vaelab.figures.model_calls.seeded_model`).

        Arguments:
            data: the test images, a `Dataset`.
            title: the title of the figure.
            seed: determines which images and samples are shown.

        Raises:
            SpecError: the model does not allow this figure.
        """
        ...


CONTRACTS: dict[str, type] = {  # by the word for each kind that errors use
    "prior": Prior,
    "posterior": Head,
    "likelihood": LikelihoodHead,
    "network": Network,
    "model": Model,
    "objective": Objective,
    "schedule": Schedule,
    "data source": Source,
    "metric": Measure,
    "figure": Figure,
}
