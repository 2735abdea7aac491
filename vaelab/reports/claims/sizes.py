"""The meaning of each word of size: one scale for all claims, printed in every report with claims."""

from vaelab.reports.text import percent

SIMILAR = 0.10  # a relative difference up to this is small; a larger one is marked
VAST = 0.50  # a relative difference above this is vast

SIZES = {  # word -> meaning; a difference is relative to the other model's value, or to the test images' detail
    "better, more (without a size)": "a difference of any size if its 95 % interval does not contain zero",
    "similar, homogeneous, almost the same": f"a difference of at most {percent(SIMILAR)}",
    "markedly, significantly, clearly more, faster": f"a difference of more than {percent(SIMILAR)}",
    "vastly, far, missed": f"a difference of more than {percent(VAST)}",
    "well enough": f"a difference of at most {percent(VAST)}, so not far",
}
SIZES_NOTE = (
    "A difference is relative to the other model's error, spread or number of epochs. A difference from the data is "
    "the proportion of their detail that is missing: the squared error of the reconstructions divided by the variance "
    "of the pixels within each test image around its own mean colour. A size is decided only if the whole 95 % "
    "interval is on one side of it."
)
