"""What the 2-D manifolds of Gaussian and Bernoulli decoders show: light and dark, and the digit 8."""

from dataclasses import dataclass

from torch import Tensor

from vaelab.evaluation.digits import Reader
from vaelab.evaluation.share import Share
from vaelab.figures.drawing import drawing
from vaelab.figures.manifold import manifold_images
from vaelab.report.claims.claim import UNJUDGED, Claim, Sign, Table, Verdict, agreed, verdict
from vaelab.report.claims.kinds import by_likelihood
from vaelab.report.material import Material, plain
from vaelab.report.text import DASH, number, percent, with_interval
from vaelab.study import Member

RATIO = 1.1  # of two spreads, from which one is called larger
ACCURATE = 0.8  # least accuracy of a classifier that is asked which digit an image shows
EIGHT = 8


@dataclass(frozen=True)
class Light:
    """Light and dark in a set of images."""

    spread: float  # standard deviation over images of their mean luminance
    contrast: float  # mean over images of the standard deviation of luminance within one


def manifold_separation(material: Material) -> list[Claim]:
    """Whether the Gaussian 2-D manifold separates light from dark more, and shows the 8 more clearly."""
    pairs = [(a, b) for a, b in by_likelihood(material) if a.latent == 2]
    return [_light(material, pairs), _eight(material, pairs)]


def _light(material: Material, pairs: list[tuple[Member, Member]]) -> Claim:
    rows, signs, found = list[list[str]](), list[Sign](), list[str]()
    for a, b in pairs:
        spreads = [light(images(material, member)) for member in (a, b)]
        signs.append(larger(spreads[1].spread, spreads[0].spread))
        found.append(
            f"the mean luminance of its manifold's images spreads {number(spreads[1].spread, 3)}, "
            f"{number(spreads[1].spread / spreads[0].spread, 2)} times the Bernoulli decoder's "
            f"{number(spreads[0].spread, 3)}"
        )
        named = [
            (a.title, material.at(a), spreads[0]),
            (b.title, material.at(b), spreads[1]),
            (f"{a.spec.data}, test images", DASH, light(plain(material.test(a)))),
        ]
        rows += [[name, where, number(one.spread, 3), number(one.contrast, 3)] for name, where, one in named]
    return Claim(
        "With two latent features, the Gaussian decoder's manifold separates light and dark colours more.",
        f"With the Gaussian decoder, {'; '.join(found)}.",
        verdict(signs, "mixed"),
        "Spread: the standard deviation of the mean luminance over the manifold's 400 images. Supported if larger, "
        f"contradicted if smaller by a factor of {RATIO:g}, otherwise mixed. The manifold is a function of the model, "
        "so there is no standard error, and another seed may give another manifold.",
        [Table(["images", "run", "spread of light", "contrast within an image"], rows)],
    )


def _eight(material: Material, pairs: list[tuple[Member, Member]]) -> Claim:
    rows, outcomes, found = list[list[str]](), list[Verdict](), list[str]()
    for a, b in pairs:
        if material.test(a).labels is None:
            continue
        reader = material.reader(a)
        shares = [eights(reader, images(material, member)) for member in (a, b)]
        outcomes.append(eight_verdict(reader.accuracy, *shares))
        found.append(
            f"a nearest-neighbour classifier fitted on {a.spec.data}'s training images is right about "
            f"{with_interval(reader.accuracy)} of the test images"
        )
        for member, share in zip((a, b), shares, strict=True):
            contrast = number(light(images(material, member)).contrast, 3)
            rows.append([member.title, material.at(member), percent(share.value), contrast])
    return Claim(
        "On that manifold, the digit 8 is more apparent.",
        f"{'; '.join(dict.fromkeys(found))}.".capitalize(),
        agreed(outcomes),
        f"Only a classifier that is right about {percent(ACCURATE)} of the test images, with its whole interval, is "
        "believed; then the intervals of the two shares of manifold images read as an 8 are compared: supported or "
        "contradicted where they are apart, otherwise mixed; mixed too where pairs of runs disagree.",
        [Table(["manifold of", "run", "read as an 8", "contrast within an image"], rows)],
    )


def images(material: Material, member: Member) -> Tensor:
    """The images of the manifold: [400, C, H, W]."""
    model = material.model(member)
    with drawing(model, member.seed):
        return manifold_images(model)


def light(images: Tensor) -> Light:
    """Of images [N, C, H, W] in [0, 1]; luminance by ITU-R BT.601 for three channels."""
    weights = images.new_tensor([0.299, 0.587, 0.114] if images.shape[1] == 3 else [1.0])
    luminance = (images * weights[:, None, None]).sum(1).double().flatten(1)
    return Light(luminance.mean(1).std().item(), luminance.std(1).mean().item())


def eights(reader: Reader, images: Tensor) -> Share:
    """How many of the images are read as an 8."""
    said, _ = reader.read(images)
    return Share(int((said == EIGHT).sum()), len(said))


def eight_verdict(accuracy: Share, bernoulli: Share, gaussian: Share) -> Verdict:
    """The verdict of one pair of manifolds by a classifier of this accuracy."""
    if accuracy.interval[0] < ACCURATE:
        return UNJUDGED
    if gaussian.interval[0] > bernoulli.interval[1]:
        return "supported"
    return "contradicted" if gaussian.interval[1] < bernoulli.interval[0] else "mixed"


def larger(value: float, than: float) -> Sign:
    """1 where `value` is larger by RATIO, -1 where it is smaller by RATIO, otherwise 0."""
    return 1 if value > RATIO * than else -1 if than > RATIO * value else 0
