"""q(z|x): heads that turn an encoder's output into a distribution of z.

A head says how many parameters it wants for an event shape, and turns [..., *those] into a Distribution.
"""

from torch import Tensor, nn
from torch.distributions import Independent

from vaelab.distributions import diagonal_normal


class DiagonalGaussian(nn.Module):
    """q(z|x) = N(mu, diag(sigma^2)), from mu and log sigma^2 (Kingma & Welling 2014, equation 9)."""

    def parameter_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        (latent,) = event_shape
        return (2 * latent,)

    def forward(self, parameters: Tensor) -> Independent:
        mu, log_var = parameters.chunk(2, dim=-1)
        return diagonal_normal(mu, 0.5 * log_var)


POSTERIORS = {"diagonal": DiagonalGaussian}
