"""Convert a result.json of an earlier version of vaelab to the keys of this version."""

from typing import Any

from vaelab.evaluation.measure import Better

RENAMED = {"ledger": "provenance", "trained_together": "vmapped"}
LOWER = (
    "aggregate_correlation",
    "aggregate_correlation_mean",
    "bdmc_gap",
    "bits_per_dim",
    "distortion",
    "effective_below_2",
    "frechet",
    "iw_gap",
    "kernel_distance",
    "marginal_kl",
    "nll",
    "nll_ais",
    "nll_excess",
    "reconstruction_mse",
)
HIGHER = (
    "ais_ess",
    "coverage",
    "dci_completeness",
    "dci_disentanglement",
    "dci_informativeness",
    "effective_samples",
    "elbo",
    "factorvae_score",
    "iwae_bound",
    "kmeans_ari",
    "kmeans_nmi",
    "knn_accuracy",
    "mig",
    "precision",
    "probe_accuracy",
    "probe_accuracy_pixels",
    "psnr",
    "recall",
    "sap",
    "ssim",
)


def better_before(name: str) -> Better:
    """Which values of the metric `name` are better, for vaelab's own measures; "neither" for any other name."""
    name = name.partition("[")[0]  # the text after the bracket names the features
    return "lower" if name in LOWER else "higher" if name in HIGHER else "neither"


def upgraded(result: dict[str, Any]) -> dict[str, Any]:
    """Return `result` with the keys of this version; each row of `metrics` has the keys of a `Metric`."""
    result = {RENAMED.get(key, key): value for key, value in result.items()}
    for row in result.get("metrics", ()):
        row.setdefault("better", better_before(row["name"]) if "name" in row else "neither")
        row.setdefault("fewest_samples", None)
    return result
