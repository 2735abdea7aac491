from dataclasses import dataclass

from torch import Tensor
from torch.distributions import Distribution


@dataclass(frozen=True)
class Draw:
    """One Monte Carlo draw of S latent samples for each of B images: what every bound is a function of.

    All log-densities are in nats. The image's is that of the pixels as the protocol gives them, in [0, 1].
    """

    z: Tensor  # [S, B, D]  z ~ q(z|x)
    log_lik: Tensor  # [S, B]  log p(x|z)
    log_prior: Tensor  # [S, B]  log p(z)
    log_post: Tensor  # [S, B]  log q(z|x)
    # [B]  KL(q(z|x) || p(z)) where it has a closed form; of a hierarchy the mean over the draws of what each group has
    # given those above it
    kl: Tensor | None
    prior: Distribution  # p(z), without a batch
    posterior: Distribution  # q(z|x), batch [B]
    likelihood: Distribution  # p(x|z), batch [S, B]
    kl_groups: Tensor | None = None  # [G, B]  of each group of a hierarchy; they add up to `kl`
