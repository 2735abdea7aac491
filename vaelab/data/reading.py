"""A Reading: how the files of a source become images, labels and splits."""

from dataclasses import dataclass, replace

from vaelab.data.conversion import AS_STORED, Conversion, parse_resize
from vaelab.data.labelling import Labelling, parse_labels
from vaelab.system.errors import SpecError

TEST_SHARE = 0.1


@dataclass(frozen=True)
class Reading:
    """How a source is read.

    Arguments:
        conversion: how image files become levels.
        labels: where the labels of image files are; None for their folders.
        test: the images to hold out if the source has no test split: a share (below 1) or a number.
        stratify: whether images are held out from each class in proportion.
    """

    conversion: Conversion = AS_STORED
    labels: Labelling | None = None
    test: float = TEST_SHARE
    stratify: bool = False

    def changed_by(self, given: "Reading") -> "Reading":
        """The same reading with the conversion and the labels that `given` has; what it has not stays as it is."""
        own, other = self.conversion, given.conversion
        conversion = Conversion(other.resize or own.resize, own.grey or other.grey, own.convert or other.convert)
        return replace(self, conversion=conversion, labels=given.labels or self.labels)


AS_FOUND = Reading()


def parse_reading(
    resize: str = "",
    grey: bool = False,
    convert: bool = False,
    labels: str = "",
    test: float = TEST_SHARE,
    stratify: bool = False,
) -> Reading:
    """The Reading that these flags of `vaelab train` describe.

    Raises:
        SpecError: a value cannot be read.
    """
    if not test > 0 or (test >= 1 and not float(test).is_integer()):
        raise SpecError(
            found=f"test = {test:g}",
            expected="a proportion between 0 and 1, or a whole number of images",
            do="choose one of these",
        )
    return Reading(Conversion(parse_resize(resize), grey, convert), parse_labels(labels), test, stratify)
