"""The claims of the article, each with the function of the runs that checks it."""

from vaelab.reports.claims.article import colours, comparisons, complexity, digits, dimensions, manifolds, speed
from vaelab.reports.claims.claim import TableOfClaims

CLAIMS: TableOfClaims = {
    "digits": [
        (digits.TWO_DIMENSIONS, digits.two_dimensions),
        (digits.FIVE_DIMENSIONS, digits.five_dimensions),
        (digits.MORE_DIMENSIONS, digits.more_dimensions),
        (digits.SAME_DIGITS, digits.same_digits),
    ],
    "dimensions": [
        (dimensions.MARKEDLY, dimensions.markedly),
        (dimensions.THE_MORE_THE_BETTER, dimensions.the_more_the_better),
    ],
    "complexity": [
        (complexity.BLACK_AND_WHITE, complexity.black_and_white),
        (complexity.LOW_DIMENSIONS, complexity.low_dimensions),
    ],
    "eights": [
        (manifolds.EIGHTS_AND_SHADES, manifolds.eights_and_shades),
        (manifolds.STILL_EIGHTS, manifolds.still_eights),
    ],
    "colours": [
        (colours.STILL_FAR, colours.still_far),
        (colours.NO_GREEN, colours.no_green),
        (colours.BLUE_TOO, colours.blue_too),
    ],
    "convolution": [
        (comparisons.VAST_WITH_DIMENSIONS, comparisons.vast_with_dimensions),
        (comparisons.VAST_WITH_CONVOLUTION, comparisons.vast_with_convolution),
        (comparisons.COPIES, comparisons.copies),
        (comparisons.WELL_ENOUGH, comparisons.well_enough),
    ],
    "gaussian-quality": [
        (comparisons.ALIKE, comparisons.alike),
        (comparisons.BETTER_IN_COLOUR, comparisons.better_in_colour),
    ],
    "negative-means": [(complexity.NEGATIVE_MEANS, complexity.negative_means)],
    "manifold-separation": [
        (manifolds.LIGHT_AND_DARK, manifolds.light_and_dark),
        (manifolds.EIGHT_MORE_APPARENT, manifolds.eight_more_apparent),
    ],
    "gaussian-speed": [(speed.FASTER, speed.faster)],
}
