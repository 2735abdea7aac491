"""Normal distributions of vectors and images."""

from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal


def diagonal_normal(mean: Tensor, log_std: Tensor, event_dims: int = 1) -> Independent:
    """Return N(mean, diag(exp(log_std)^2)); the last `event_dims` axes form one event.

    Arguments:
        mean: [..., *event].
        log_std: natural logarithm of the standard deviation, of a shape that broadcasts to the mean's.
        event_dims: number of trailing axes of one event: 1 for a latent vector [D], 3 for an image [C, H, W].
    """
    # validate_args would copy every value from the device, and would break the compiled graph
    return Independent(Normal(mean, log_std.exp(), validate_args=False), event_dims, validate_args=False)


def full_normal(mean: Tensor, factor: Tensor) -> MultivariateNormal:
    """Return N(mean, L L').

    Arguments:
        mean: [..., D].
        factor: L, [..., D, D], lower triangular with a positive diagonal.
    """
    return MultivariateNormal(mean, scale_tril=factor, validate_args=False)


def is_diagonal_normal(distribution: Distribution) -> bool:
    """Return whether the distribution is a normal over a vector with independent dimensions."""
    return (
        isinstance(distribution, Independent)
        and isinstance(distribution.base_dist, Normal)
        and distribution.reinterpreted_batch_ndims == 1
    )
