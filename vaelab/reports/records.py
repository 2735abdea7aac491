"""The numbers of the comparison table as a reader downloads them: one record for each run, with units in the names."""

from vaelab.reports.context import ReportContext
from vaelab.reports.table import best_epoch

NATS = ("elbo", "rate", "distortion", "nll")


def records(context: ReportContext) -> list[dict[str, str | float | None]]:
    """A record for each run that is done, in the order of the study; all have the same keys."""
    found = list[dict[str, str | float | None]]()
    for member in context.done:
        spec, run = member.spec, member.run
        record: dict[str, str | float | None] = {
            "run": member.label,
            "model": member.title,
            "differs_in": context.besides(member),
            "data": spec.data,
            "protocol": str(spec.protocol),
            "likelihood": spec.likelihood,
            "network": spec.network,
            "latent": spec.latent,
            "seed": spec.seed,
        }
        for name in (*NATS, "bits_per_dim", "active_units", "reconstruction_mse"):
            metric = run.find(name)
            unit = "_nats" if name in NATS else ""
            record[f"{name}{unit}"] = None if metric is None else metric.value
            record[f"{name}_se{unit}"] = None if metric is None else metric.se
        result = run.result
        record["nll_samples"] = run.metric("nll").samples
        record["parameters"] = result["parameters"]
        record["best_epoch"] = best_epoch(result)
        record["training_seconds"] = result["seconds"]["training"]
        record["note"] = run.metric("elbo").note
        found.append(record)
    return found
