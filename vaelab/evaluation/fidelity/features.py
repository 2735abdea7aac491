"""Feature extractors, for distances between images.

A distance depends on its features, so their name and digest are part of the metric's name.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vaelab.evaluation.fidelity.classifier import cached, check_labels, classifier, scaled, seen, weights_sha256
from vaelab.evaluation.measure import EvaluationContext, evaluating
from vaelab.parts.trust import imported, is_dotted
from vaelab.randomness.seeds import seed_generator
from vaelab.system.errors import SpecError, in_one_line, unknown

WEAK = 0.9  # a classifier with a lower accuracy is reported as weak


@dataclass(frozen=True)
class Extractor:
    """A function from images to features.

    Arguments:
        name: "pixels", "classifier", or the package.module.Name of a user's module.
        sha256: hexadecimal digest of its weights, or of its name if it has no weights.
        function: images [N, C, H, W] in [0, 1] -> [N, F], of any float type.
        note: printed with every number that uses these features.
        seen: how many training images, the first of `by_content`, were used to fit it.
    """

    name: str
    sha256: str
    function: Callable[[Tensor], Tensor]
    note: str = ""
    seen: int = 0

    @property
    def label(self) -> str:
        """The name; unless the name identifies the features, with the first 8 digits of the digest."""
        return self.name if self.name == "pixels" else f"{self.name}-{self.sha256[:8]}"

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Return the features of images float32 [N, C, H, W], float64 [N, F] on the CPU.

        Raises:
            SpecError: the function returns anything but one vector of finite numbers for each image.
        """
        features = self.function(images)
        if (
            not isinstance(features, Tensor)
            or features.dim() != 2
            or len(features) != len(images)
            or not features.numel()
        ):
            got = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
            raise SpecError(
                found=f"features={self.name} returns {got} for {len(images)} images",
                expected=f"a tensor of shape ({len(images)}, F)",
                do="flatten what the module returns to one vector for each image",
            )
        features = features.double().cpu()
        if not features.isfinite().all():
            raise SpecError(
                found=f"features={self.name} returns numbers that are not finite",
                expected="finite features for images in [0, 1]",
                do="correct the module",
            )
        return features

    def of(self, chunks: Iterable[Tensor]) -> Tensor:
        """Return the features of all chunks of images, float64 [N, F]."""
        return torch.cat([self(chunk) for chunk in chunks])


def check_features(name: str, context: EvaluationContext) -> None:
    """Check the features called `name` before any work; a user's module is called with two images.

    Raises:
        SpecError: there are no such features, or the module does not meet the contract.
        DataError: labels that the classifier needs are missing.
        RunError: the classifier in the cache is damaged.
    """
    if name == "classifier":
        check_labels(context.train)
        cached(context.train, context.cache)
    elif name != "pixels":
        own = _users_own(name, next(context.model.parameters()).device)
        with evaluating(context.model):  # restores the generators: the module may draw
            own(scaled(torch.from_numpy(context.data.images[:2])))


def extractor(name: str, context: EvaluationContext) -> Extractor:
    """Return the features called `name`: "pixels", "classifier" (fitted if it is not cached), or package.module.Name.

    `pixels` are the values of all pixels and channels. `classifier` are the 64 penultimate activations of a classifier
    of the training labels. package.module.Name is a torch module, constructed without arguments, that maps images
    [N, C, H, W] in [0, 1] to [N, F]. It runs in evaluation mode on the model's device.

    Raises:
        VaelabError: as in `check_features`.
    """
    device = next(context.model.parameters()).device
    if name == "pixels":
        return Extractor("pixels", hashlib.sha256(b"pixels").hexdigest(), lambda images: images.flatten(1))
    if name == "classifier":
        fitted = classifier(context.train, context.cache)
        low, high = fitted.accuracy.interval
        note = (
            f"classifier right on {fitted.accuracy.value:.1%} of {fitted.accuracy.n:,} held-out training images"
            f" ({low:.1%} to {high:.1%})"
        )
        if fitted.accuracy.value < WEAK:
            note += ": a weak classifier, whose features miss much of an image's content"
        module = fitted.features.to(device)
        return Extractor(
            "classifier",
            weights_sha256(fitted.network),
            lambda images: module(images.to(device)),
            note,
            seen(context.train),
        )
    return _users_own(name, device)


def _users_own(name: str, device: torch.device) -> Extractor:
    package, _, attribute = name.rpartition(".")
    if not is_dotted(name):
        raise unknown("features", name, ("pixels", "classifier", "package.module.Name"))
    try:
        constructor = imported(package, attribute)
        with torch.random.fork_rng(devices=[]):
            seed_generator(torch.device("cpu"), 0)  # so that random initial weights are the same each time
            module = constructor()
    except Exception as error:  # of any type: this is the user's code
        raise SpecError(
            found=f"features={name} cannot be constructed ({in_one_line(error)})",
            expected="package.module.Name of a torch module that is constructed without arguments",
            do="check the spelling, and that the package is installed",
        ) from error
    if not isinstance(module, nn.Module):
        raise SpecError(
            found=f"features={name} is a {type(module).__name__}", expected="a torch.nn.Module", do="give a module"
        )
    module = module.eval().to(device)

    def function(images: Tensor) -> Tensor:
        try:
            return module(images.to(device))
        except Exception as error:  # of any type, again
            raise SpecError(
                found=f"features={name} fails for images of shape {tuple(images.shape)} ({in_one_line(error)})",
                expected="a module that maps images [N, C, H, W] in [0, 1] to [N, F]",
                do="correct the module, or give another",
            ) from error

    return Extractor(name, weights_sha256(module), function)
