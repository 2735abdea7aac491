import math

import torch
from torch import Tensor


def log_mean_exp(log_w: Tensor, dim: int = 0) -> Tensor:
    """Return log (1/S) sum_s exp(log_w_s), without overflow or underflow.

    Arguments:
        log_w: log weights, any shape.
        dim: the axis of the S samples, which is removed.
    """
    return torch.logsumexp(log_w, dim) - math.log(log_w.shape[dim])
