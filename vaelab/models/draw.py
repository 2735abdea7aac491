from dataclasses import dataclass

from torch import Tensor
from torch.distributions import Distribution


@dataclass(frozen=True)
class Draw:
    """One Monte Carlo draw of S latent samples for each of B images; every bound is a function of it.

    All log-densities are in nats. p(x|z) is a density of the pixels as the protocol reads them, in [0, 1].
    """

    z: Tensor  # [S, B, D]  z ~ q(z|x)
    log_lik: Tensor  # [S, B]  log p(x|z)
    log_prior: Tensor  # [S, B]  log p(z)
    log_post: Tensor  # [S, B]  log q(z|x)
    # [B]  KL(q(z|x) || p(z)) if it has a closed form. For a hierarchical model: the sum over the groups of the KL given
    # the groups above, averaged over the draws
    kl: Tensor | None
    prior: Distribution  # p(z), without a batch
    posterior: Distribution  # q(z|x), batch [B]
    likelihood: Distribution  # p(x|z), batch [S, B]
    kl_groups: Tensor | None = None  # [G, B]  of each group of a hierarchical model; their sum is `kl`
