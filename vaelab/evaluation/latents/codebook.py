"""The measure of codebook use: how uniformly a model uses its codes."""

import torch
from torch import Tensor

from vaelab.evaluation.measure import EvaluationContext, Metric, standard_error


def codebook_rows(context: EvaluationContext, z: Tensor) -> list[Metric]:
    """Return the perplexity of the codes in z [N, D]: exp(-sum_k f_k log f_k), f_k the proportion of code k.

    It is K if all codes are used equally, and 1 if only one is used. With several levels it is the mean over them. To
    first order, its standard error is that of the images' mean -log f_k, times the perplexity.
    """
    p = context.model.prior()
    k, _ = p.read(z)  # [N, L, P]
    size = len(p.codes)
    surprise, used = list[Tensor](), list[int]()
    for level in k.unbind(1):
        share = torch.bincount(level.flatten(), minlength=size).double() / level.numel()
        surprise.append(-share.log()[level].mean(1))
        used.append(int((share > 0).sum()))
    each = torch.stack(surprise)  # [L, N]
    perplexity = each.mean(1).exp()
    error = standard_error((perplexity.unsqueeze(1) * each).mean(0))
    return [
        context.metric(
            "codebook_perplexity",
            perplexity.mean().item(),
            "codes",
            better="neither",
            images=len(z),
            se=error,
            note=f"of {size}; {', '.join(map(str, used))} of them are used"
            + (" level by level" if len(used) > 1 else ""),
            parts=tuple(perplexity.tolist()),
        )
    ]
