"""p(x|z): heads that turn a decoder's output into a distribution of images.

A head says how many parameters it needs for an event shape (C, H, W), turns [..., *those] into a Distribution, and
names in `protocols` the pixel protocols that it describes (see `vaelab.data.protocol`). The contract is
`vaelab.parts.contracts.LikelihoodHead`. If a head is also a `StartsAtMean`, its decoder starts at the mean image.
"""

from collections.abc import Callable

from vaelab.likelihoods.binary import Bernoulli as Bernoulli
from vaelab.likelihoods.binary import ContinuousBernoulli as ContinuousBernoulli
from vaelab.likelihoods.discretised import Categorical as Categorical
from vaelab.likelihoods.discretised import DiscretisedGaussian as DiscretisedGaussian
from vaelab.likelihoods.discretised import DiscretisedLogistic as DiscretisedLogistic
from vaelab.likelihoods.gaussian import Gaussian as Gaussian
from vaelab.likelihoods.heavy_tailed import Beta as Beta
from vaelab.likelihoods.heavy_tailed import Laplace as Laplace
from vaelab.likelihoods.heavy_tailed import StudentT as StudentT
from vaelab.likelihoods.scale import LOG_SCALE_CEILING as LOG_SCALE_CEILING
from vaelab.likelihoods.scale import LOG_SCALE_FLOOR as LOG_SCALE_FLOOR
from vaelab.likelihoods.scale import LOG_SIGMA_CEILING as LOG_SIGMA_CEILING
from vaelab.likelihoods.scale import LOG_SIGMA_FLOOR as LOG_SIGMA_FLOOR
from vaelab.parts.contracts import LikelihoodHead

LIKELIHOODS: dict[str, Callable[..., LikelihoodHead]] = {
    "bernoulli": Bernoulli,
    "continuous-bernoulli": ContinuousBernoulli,
    "gaussian": Gaussian,
    "laplace": Laplace,
    "student-t": StudentT,
    "beta": Beta,
    "discretised-gaussian": DiscretisedGaussian,
    "logistic": DiscretisedLogistic,
    "categorical": Categorical,
}
