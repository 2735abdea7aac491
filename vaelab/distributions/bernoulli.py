import torch
from torch import Tensor
from torch.distributions import Bernoulli, Independent

LONGEST = 100  # row of pixels whose product of numbers from 1/2 to 1 stays within the range of float32


def bernoulli(logits: Tensor) -> Independent:
    """Images of binary pixels with log-odds [..., C, H, W]."""
    return _Image(Bernoulli(logits=logits, validate_args=False), 3, validate_args=False)


class _Image(Independent):
    """Independent pixels, with a density that costs less than torch's own where no gradient is wanted."""

    def log_prob(self, value: Tensor) -> Tensor:
        """sum_i x_i l_i - max(l_i, 0) + log sigma(|l_i|), with one logarithm for each row of pixels, of the product.

        As exact as the plain form: log sigma, of 1/2 at least, is off by the rounding of sigma. Its gradient would not
        be, |l| having none at 0; and a compiled training step is faster with the plain form.
        """
        logits = self.base_dist.logits
        if torch.is_grad_enabled() or logits.shape[-1] > LONGEST:
            return super().log_prob(value)
        rows = logits.abs().sigmoid_().prod(-1).log_()
        return (value * logits).sub_(logits.relu()).sum((-3, -2, -1)) + rows.sum((-2, -1))
