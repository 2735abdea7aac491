"""Claims about the 2-D manifolds: light and dark, shades of one image, and the digit 8."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from vaelab.evaluation.proportion import Proportion
from vaelab.figures.manifold import manifold_images
from vaelab.figures.model_calls import seeded_model
from vaelab.reports.claims.article.detail import as_percent, more_or_less
from vaelab.reports.claims.article.kinds import bernoulli, by_likelihood, fully_connected
from vaelab.reports.claims.article.source import ARTICLE, GAUSSIAN_SECTION, MLP_SECTION, SVHN
from vaelab.reports.claims.claim import (
    UNJUDGED,
    Outcome,
    Statement,
    Verdict,
    agreed,
    of_parts,
    parts_in_words,
    verdict,
)
from vaelab.reports.claims.estimate import Estimate, Sign, over_images, over_seeds
from vaelab.reports.claims.pairs import Pair
from vaelab.reports.claims.sizes import SIMILAR, VAST
from vaelab.reports.context import ReportContext
from vaelab.reports.digits import Reader
from vaelab.reports.labels import points
from vaelab.reports.text import DASH, Table, number, percent
from vaelab.studies.study import Member

SEPARATION_QUOTE = (
    "Interestingly, in Figure 2d, the learned manifold with 2 latent features under the Gaussian assumption produces "
    "more separation between light and dark colors, and the digit 8 is more apparent."
)
LIGHT_AND_DARK = Statement(
    "With two latent features, the Gaussian decoder's manifold separates light and dark colours more.",
    SEPARATION_QUOTE,
    f"{GAUSSIAN_SECTION}, Figure 2d",
    (SVHN,),
    ARTICLE,
)
EIGHT_MORE_APPARENT = Statement(
    "On the Gaussian decoder's manifold, the digit 8 is more apparent.",
    SEPARATION_QUOTE,
    f"{GAUSSIAN_SECTION}, Figure 2d",
    (SVHN,),
    ARTICLE,
)
EIGHTS_AND_SHADES = Statement(
    "With two dimensions the fully connected network shows only eights, and shades of one image.",
    "The autoencoder seems to be able to pick number 8 but all the images learned are homogeneous other than the "
    "shades. In short, the features of shades and number 8 are captured by the encoder.",
    f"{MLP_SECTION}, Figure 2b",
    (SVHN,),
    ARTICLE,
)
STILL_EIGHTS = Statement(
    "With five dimensions the fully connected network's reconstructions are still eights.",
    "In Figure 3, 3b may validate the patterns we have seen in the low dimensional case are 8s.",
    f"{MLP_SECTION}, Figure 3b",
    (SVHN,),
    ARTICLE,
)
ACCURATE = 0.8  # the smallest accuracy of a classifier whose answers are used
EIGHT = 8


@dataclass(frozen=True)
class Light:
    """Light and dark in a set of images."""

    spread: float  # standard deviation over images of their mean luminance
    contrast: float  # mean over images of the standard deviation of luminance within one


def light_and_dark(context: ReportContext) -> Outcome:
    """Check whether the Gaussian 2-D manifold separates light from dark more than the Bernoulli manifold."""
    found, rows, signs, said = _two_dimensional(context), list[list[str]](), list[Sign](), list[str]()
    for pair in found:
        first, second = ([light(manifold(context, run)) for run in runs] for runs in (pair.first, pair.second))
        more = over_seeds([g.spread / b.spread - 1 for b, g in zip(first, second, strict=True)])
        signs.append(more.above(SIMILAR))
        said.append(f"With the Gaussian decoder the spread of light is {more_or_less(more, 'larger', 'smaller')}.")
        rows += [_light_row(context, run, one) for run, one in zip(pair.runs, [*first, *second], strict=True)]
        real = light(context.images(pair.first[0]))
        rows.append([f"{pair.first[0].spec.data}, test images", DASH, number(real.spread, 3), number(real.contrast, 3)])
    return Outcome(
        " ".join(said),
        verdict(signs),
        "The spread of light is the standard deviation of the mean luminance over the manifold's 400 images. More "
        f"means a difference of more than {percent(SIMILAR)}.",
        [run for pair in found for run in pair.runs],
        [Table(["images", "run", "spread of light", "contrast within an image"], rows)],
    )


def eight_more_apparent(context: ReportContext) -> Outcome:
    """Check whether more images of the Gaussian manifold are read as an 8."""
    found = [pair for pair in _two_dimensional(context) if context.test(pair.first[0]).labels is not None]
    rows, verdicts, said = list[list[str]](), list[Verdict](), list[str]()
    for pair in found:
        reader = context.reader(pair.first[0])
        shares = [[eights(reader, manifold(context, run)).value for run in runs] for runs in (pair.first, pair.second)]
        more = over_seeds([g - b for b, g in zip(*shares, strict=True)])
        verdicts.append(verdict([more.sign]) if believed(reader) else UNJUDGED)
        said.append(
            f"{_accuracy(reader)} With the Gaussian decoder the proportion that is read as an 8 is "
            f"{more_or_less(more, 'higher', 'lower')} of all images."
        )
        for run, share in zip(pair.runs, [*shares[0], *shares[1]], strict=True):
            rows.append([run.title, context.at(run), percent(share)])
    return Outcome(
        " ".join(said),
        agreed(verdicts),
        "The proportions of manifold images that are read as an 8 are compared.",
        [run for pair in found for run in pair.runs],
        [Table(["manifold of", "run", "read as an 8"], rows)],
    )


def eights_and_shades(context: ReportContext) -> Outcome:
    """Check whether the fully connected 2-D manifold shows eights, and almost only shades of one image."""
    models = points([m for m in context.done if _asked(context, m) and m.latent == 2])
    rows, verdicts, said = list[list[str]](), list[Verdict](), list[str]()
    for runs in models:
        shown = [manifold(context, run) for run in runs]
        beyond = over_seeds([beyond_shades(images) for images in shown])
        read = [eights(context.reader(run), images).value for run, images in zip(runs, shown, strict=True)]
        parts: dict[str, Verdict] = {
            "eights": _mostly(context.reader(runs[0]), over_seeds(read)),
            "shades of one image": verdict([beyond.within(SIMILAR)]),
        }
        said.append(
            f"{_accuracy(context.reader(runs[0]))} {as_percent(beyond)} of the variance between the images is more "
            f"than a change of shade. {parts_in_words(parts)}"
        )
        verdicts.append(of_parts(parts))
        rows += [
            [run.title, context.at(run), percent(share), percent(beyond_shades(images))]
            for run, share, images in zip(runs, read, shown, strict=True)
        ]
    return Outcome(
        " ".join(said),
        agreed(verdicts),
        f"Eights: more than {percent(VAST)} of the images are read as an 8. Shades: each image is the same pattern "
        f"plus a level of light. The rest may be at most {percent(SIMILAR)} of the variance over the manifold's "
        "images.",
        [run for runs in models for run in runs],
        [Table(["manifold of", "run", "read as an 8", "variance that is not shade"], rows)],
    )


def still_eights(context: ReportContext) -> Outcome:
    """Check whether most reconstructions with five dimensions are read as an 8."""
    models = points([m for m in context.done if _asked(context, m) and m.latent == 5])
    rows, verdicts, said = list[list[str]](), list[Verdict](), list[str]()
    for runs in models:
        reader = context.reader(runs[0])
        read = [as_tensor(reader, context.reconstructions(run)) for run in runs]
        share = over_images(read)
        verdicts.append(_mostly(reader, share))
        said.append(f"{_accuracy(reader)} {as_percent(share)} of the reconstructions are read as an 8.")
        real = as_tensor(reader, context.images(runs[0])).mean().item()
        rows.append([runs[0].title, context.point(runs[0]), as_percent(share), percent(real)])
    return Outcome(
        " ".join(said),
        agreed(verdicts),
        f"Supported if more than {percent(VAST)} of the reconstructions are read as an 8, contradicted if fewer.",
        [run for runs in models for run in runs],
        [Table(["reconstructions of", "at", "read as an 8", "test images read as an 8"], rows)],
    )


def manifold(context: ReportContext, member: Member) -> Tensor:
    """The images of the manifold: [400, C, H, W]."""
    model = context.model(member)
    with seeded_model(model, member.seed):
        return manifold_images(model)


def light(images: Tensor) -> Light:
    """The light of images [N, C, H, W] in [0, 1]; luminance by ITU-R BT.601 for three channels."""
    weights = images.new_tensor([0.299, 0.587, 0.114] if images.shape[1] == 3 else [1.0])
    luminance = (images * weights[:, None, None]).sum(1).double().flatten(1)
    return Light(luminance.mean(1).std().item(), luminance.std(1).mean().item())


def beyond_shades(images: Tensor) -> float:
    """The proportion of the variance over images [N, C, H, W] that is not one pattern plus a level for each image."""
    about = images.double() - images.double().mean(0)
    return ((about - about.mean((1, 2, 3), keepdim=True)).square().sum() / about.square().sum()).item()


def eights(reader: Reader, images: Tensor) -> Proportion:
    """The proportion of the images that are read as an 8."""
    said, _ = reader.read(images)
    return Proportion(int((said == EIGHT).sum()), len(said))


def as_tensor(reader: Reader, images: Tensor) -> Tensor:
    """1 for each of images [N, C, H, W] that is read as an 8, otherwise 0: [N]."""
    said, _ = reader.read(images)
    return images.new_tensor((said == EIGHT).astype(float))


def believed(reader: Reader) -> bool:
    """Whether the classifier is accurate enough for its answers to be used."""
    return reader.accuracy.interval[0] >= ACCURATE


def _mostly(reader: Reader, share: Estimate) -> Verdict:
    return verdict([share.above(VAST)]) if believed(reader) else UNJUDGED


def _accuracy(reader: Reader) -> str:
    trusted = "" if believed(reader) else ", which is too few for a verdict"
    return f"The classifier is right on {percent(reader.accuracy.value)} of the test images{trusted}."


def _asked(context: ReportContext, member: Member) -> bool:
    """Whether the claims are about this kind of model: fully connected, Bernoulli, in colour."""
    if not (fully_connected(member) and bernoulli(member)):
        return False
    test = context.data(member).test
    return test.shape[0] == 3 and test.labels is not None


def _two_dimensional(context: ReportContext) -> Sequence[Pair]:
    return [pair for pair in by_likelihood(context) if pair.first[0].latent == 2]


def _light_row(context: ReportContext, run: Member, one: Light) -> list[str]:
    return [run.title, context.at(run), number(one.spread, 3), number(one.contrast, 3)]
