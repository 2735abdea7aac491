"""How much each word of size means: one scale for all claims, printed in every report that has claims."""

from vaelab.reports.text import percent

SIMILAR = 0.10  # share up to which two things differ little; a marked difference is a larger one
VAST = 0.50  # share from which a difference is vast

SIZES = {  # word -> what it means; a share is of the other model's value, or of the test images' detail
    "better, more (without a size)": "a difference of any size whose 95 % interval does not contain zero",
    "similar, homogeneous, almost the same": f"a difference of at most {percent(SIMILAR)}",
    "markedly, significantly, clearly more, faster": f"a difference of more than {percent(SIMILAR)}",
    "vastly, far, missed": f"a difference of more than {percent(VAST)}",
    "well enough": f"a difference of at most {percent(VAST)}, so not far",
}
SIZES_NOTE = (
    "A difference is a share of the other model's error, spread or number of epochs. A difference from the data is the "
    "share of their detail that is missing: the squared error of the reconstructions over the variance of the pixels "
    "within each test image, about its own mean colour. A size is decided only where the whole 95 % interval lies on "
    "one side of it."
)
