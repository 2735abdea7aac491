import math

import torch
from torch import Tensor


def log_mean_exp(log_w: Tensor, dim: int = 0) -> Tensor:
    """log (1/S) sum_s exp(log_w_s), without leaving the range of the floats.

    Arguments:
        log_w: log weights, any shape.
        dim: the axis of the S samples, which disappears.
    """
    return torch.logsumexp(log_w, dim) - math.log(log_w.shape[dim])
