"""The sentences of a report, generated from the metrics and from the notes on the data."""

import statistics
from collections import Counter

from vaelab.reports.behind import behind
from vaelab.reports.claims import Claim
from vaelab.reports.claims.claim import QUICK, UNJUDGED, UNTESTED, data_in_words
from vaelab.reports.colours import HUES, hue_counts
from vaelab.reports.context import ReportContext, plain
from vaelab.reports.labels import points
from vaelab.reports.seeds import interval, ranking
from vaelab.reports.table import best_epoch
from vaelab.reports.text import MINUS, counted, latent, listed, number, percent, plus_minus
from vaelab.runs.blueprint import NOT_A_LIKELIHOOD
from vaelab.runs.compare import kind
from vaelab.runs.result_file import Environment
from vaelab.studies.study import Member

FEW = 20  # with fewer test images of a label, a sentence says so
EARLY = 0.75  # a best epoch is early if it is in this first share of the epochs
LATE = 0.99  # a best epoch is the last if it is after this share
BESIDE = "The measurements are below, with each statement."


def result(context: ReportContext) -> list[str]:
    """The result in a sentence for each data set and protocol: the best model, and how far the next is behind."""
    return [_result(context, rivals) for rivals in _comparable(context)]


def _result(context: ReportContext, models: list[list[Member]]) -> str:
    best, *others = sorted(models, key=lambda runs: _mean(runs, "nll"))
    nats = "nats of cross-entropy" if NOT_A_LIKELIHOOD in best[0].run.metric("nll").note else "nats"
    said = f"{_named(context, best[0])}: {_value(best, 'nll')} {nats} for a test image"
    where = f"{best[0].spec.data} ({best[0].spec.protocol})"
    if not others:
        return f"On {where}, {said}."
    return f"Best on {where} is {said}. The next, {_named(context, others[0][0])}, is {behind(best, others[0], 'nll')}."


def _named(context: ReportContext, member: Member) -> str:
    return f"{member.title} with {context.point(member)}"


def _comparable(context: ReportContext) -> list[list[list[Member]]]:
    """For each data set and protocol the models with comparable NLLs: the largest set of them."""
    blocks = dict[tuple[str, str], dict[str, list[list[Member]]]]()
    for runs in points(context.done):
        block = blocks.setdefault((runs[0].spec.data, str(runs[0].spec.protocol)), {})
        block.setdefault(str(kind(runs[0].run, runs[0].run.metric("nll"))), []).append(runs)
    return [max(block.values(), key=len) for block in blocks.values()]


def findings(context: ReportContext, claims: dict[str, list[Claim]]) -> list[str]:
    """The main results, in one or two sentences each: the models, the latent dimensions in use, the claims."""
    ranked = ranking(context)
    said = [*ranked, *(_of_group(context, models) for models in _groups(context) if len(models) > 1 or not ranked)]
    if idle := [text for models in _groups(context) if (text := _idle(context, models))]:
        said.append(f"Some models do not use all latent dimensions: {'; '.join(idle)}.")
    return said + _of_claims([claim for group in claims.values() for claim in group])


def _of_claims(claims: list[Claim]) -> list[str]:
    """Lines that count the statements with each verdict, and say why the others have none."""
    judged = Counter(claim.verdict for claim in claims if claim.was_judged)
    said = list[str]()
    if judged:
        counts = [
            f"{count} {'' if of == UNJUDGED else 'is ' if count == 1 else 'are '}{of}"
            for of, count in judged.most_common()
        ]
        said.append(f"{_statements(judged.total(), 'was', 'were')} checked: {listed(counts)}.")
    if quick := [claim for claim in claims if claim.verdict == QUICK]:
        said.append(f"{_statements(len(quick), 'has', 'have')} no verdict at this quick budget. {BESIDE}")
    if untested := [claim for claim in claims if claim.verdict == UNTESTED]:
        about = data_in_words(untested)
        said.append(
            f"{_statements(len(untested), 'is', 'are')} about {about}, which this study does not test. {BESIDE}"
        )
    return said


def _statements(count: int, one: str, several: str) -> str:
    return f"{counted(count, 'statement')} {one if count == 1 else several}"


def limits(context: ReportContext) -> list[str]:
    """What the data and the design of this study cannot show, from the notes on the data and their counts."""
    said = list[str]()
    for member in {m.spec.data: m for m in context.done}.values():
        said += _of_data(context, member)
    seeds = {member.seed for member in context.study.members}
    if len(seeds) == 1:
        said.append(
            f"Every model was trained once, with seed {min(seeds)}. Standard errors and intervals cover only the test "
            "images. Another seed would give other numbers."
        )
    if any(NOT_A_LIKELIHOOD in member.run.metric("elbo").note for member in context.done):
        said.append(
            "A Bernoulli cross-entropy on grey levels is not a likelihood of the images. Its nats are comparable only "
            "with each other."
        )
    if any(member.spec.condition == "labels" for member in context.done):
        said.append(
            "A model that is conditioned on labels has bounds of log p(x|y), not of log p(x). It is comparable only "
            "with such models."
        )
    if context.done and not context.study.quick:
        still = sum(best_epoch(m.run.result) > LATE * m.spec.epochs for m in context.done if m.spec.validation)
        if still:
            said.append(
                f"In {still} of {len(context.done)} runs the weights of the last epoch were the best. Longer training "
                "would improve them."
            )
    if context.study.quick:
        said.append("This is the quick version: training stopped long before the models had converged.")
    return said


def data_notes(context: ReportContext) -> list[str]:
    """Each data set, with its counts and its note."""
    return [f"{name}: {_counts(member)}" for name, member in {m.spec.data: m for m in context.done}.items()]


def made_with(context: ReportContext) -> list[str]:
    """The dates of the runs, and each environment (versions and machine) in which they were made."""
    environments = [member.run.result["environment"] for member in context.done]
    dates = sorted({environment["date"] for environment in environments})
    kinds = list(dict.fromkeys(_environment(environment) for environment in environments))
    when = [f"Runs finished {' to '.join(dict.fromkeys([dates[0], dates[-1]]))}."] if dates else []
    return when + (kinds if len(kinds) < 2 else [f"The runs were made in {len(kinds)} environments:", *kinds])


def _groups(context: ReportContext) -> list[list[list[Member]]]:
    """The groups of the study with comparable ELBOs: models, each with its runs over the seeds."""
    found = dict[tuple[str, str], list[Member]]()
    for member in context.done:
        of = str(kind(member.run, member.run.metric("elbo")))
        found.setdefault((member.group, of), []).append(member)
    return [points(members) for members in found.values()]


def _of_group(context: ReportContext, models: list[list[Member]]) -> str:
    # Different objectives give different encoders, so ELBOs are not a fair comparison: the NLL ranks these models.
    judge, sign = ("nll", 1) if len({runs[0].spec.objective for runs in models}) > 1 else ("elbo", -1)
    best, *others = sorted(models, key=lambda runs: sign * _mean(runs, judge))
    closest = min(models, key=lambda runs: _mean(runs, "reconstruction_mse"))
    note = best[0].run.metric("elbo").note
    elbo = f"{MINUS}ELBO {_value(best, 'elbo', -1)} nats{f', {note}' if note else ''}"
    score = elbo if judge == "elbo" else f"NLL {_value(best, 'nll')} nats{f', {note}' if note else ''}"
    if len(models) == 1:
        return f"{context.of_model(best[0])}, {latent(best[0].latent)}: {elbo}."
    if len({runs[0].latent for runs in models}) < len(models):  # the models also differ in other fields
        where = context.point(best[0])
    else:
        where = f"{best[0].latent} latent dimensions"
    behind_it = f"with {context.point(others[0][0])} it is {behind(best, others[0], judge, sign)}"
    early = [runs for runs in models if all(_early(run) for run in runs)]
    return (
        f"{best[0].title} is best with {where} ({score}); {behind_it}. It reconstructs best with "
        f"{context.point(closest[0])} (mean squared error {_value(closest, 'reconstruction_mse')})."
        + (
            f" The weights that were kept come from the first {percent(EARLY)} of the epochs at "
            f"{listed([context.point(runs[0]) for runs in early])}."
            if early
            else ""
        )
    )


def _early(run: Member) -> bool:
    return bool(run.spec.validation) and best_epoch(run.run.result) < EARLY * run.spec.epochs


def _idle(context: ReportContext, models: list[list[Member]]) -> str:
    """Say which runs of a group do not use all latent dimensions; "" if all do."""
    said = list[str]()
    for runs in models:
        units = [units.value for run in runs if (units := run.run.find("active_units"))]
        if units and min(units) < runs[0].latent:
            ends = dict.fromkeys(f"{value:.0f}" for value in (min(units), max(units)))
            said.append(f"{' to '.join(ends)} of {runs[0].latent}")
    return f"{context.of_model(models[0][0])} uses {listed(said)}" if said else ""


def _mean(runs: list[Member], name: str) -> float:
    return statistics.fmean(run.run.metric(name).value for run in runs)


def _value(runs: list[Member], name: str, sign: int = 1) -> str:
    """The value with its error: over the seeds if there are several, otherwise over the images."""
    if len(runs) > 1:
        return interval([sign * run.run.metric(name).value for run in runs])
    metric = runs[0].run.metric(name)
    return plus_minus(sign * metric.value, metric.se)


def _of_data(context: ReportContext, member: Member) -> list[str]:
    result, name = member.run.result, member.spec.data
    note, data = result["note"], context.data(member)
    said = list[str]()
    if "slice" in note:
        said.append(
            f"{name} is only a slice here ({note}). Its {number(len(data.test))} test images are not the official test "
            "split, so no number is comparable with a published one. They are few, so standard errors are large."
        )
        if name == "svhn":
            said.append(
                "Digits from the same house number can be in both training and test images, so memorising them helps."
            )
    elif note:
        said.append(f"{name}: {note}. The numbers are not comparable with published ones.")
    if count := result["test_images_trained_on"]:
        said.append(f"{number(count)} of the test images of {name} are also training images.")
    if data.test.shape[0] == 3:
        few = [f"{n} {hue}" for hue, n in zip(HUES, hue_counts(plain(data.test)), strict=False) if n < FEW]
        if few:
            said.append(f"There are few test images of some colours in {name}: {listed(few)}.")
    if data.test.labels is not None:
        counts = Counter(data.test.labels.tolist())
        few = [
            f"{count} of label {data.test.class_name(label)}" for label, count in sorted(counts.items()) if count < FEW
        ]
        if few:
            said.append(f"There are few test images for some labels of {name}: {listed(few)}.")
    return said


def _counts(member: Member) -> str:
    result = member.run.result
    names = {"train": "training"}
    parts = [f"{number(split['images'])} {names.get(name, name)}" for name, split in result["data"].items()]
    channels, height, width = result["data"]["test"]["shape"]
    drawn = "the first is drawn" if channels == 2 else "the first three are drawn, as red, green and blue"
    kind = {1: "grey", 3: "colour"}.get(channels, f"{channels} channels, of which {drawn}")
    return f"{listed(parts)} images, {height} x {width}, {kind}" + (f" ({result['note']})" if result["note"] else "")


def _environment(environment: Environment) -> str:
    e = environment
    return (
        f"vaelab {e['vaelab']}, torch {e['torch']}, Python {e['python']}, {e['system']}, {e['device']}, "
        f"{e['threads']} thread{'' if e['threads'] == 1 else 's'}"
    )
