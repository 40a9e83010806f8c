"""Scores with their protocol: every measure that a model's capabilities allow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pofx import renamed
from pofx.capabilities import BoundsInformation, Classifies, Clusters, Decodes, Encodes, Samples, Scores, Translates, can, require
from pofx.data.blocks import Progress, chosen_rows
from pofx.errors import UserError, nearest
from pofx.evaluate.clusters import clustering_accuracy, information
from pofx.evaluate.codes import CodeReport, code_report
from pofx.evaluate.decoders import annealed_scores
from pofx.evaluate.features import Features, chosen, known_size
from pofx.evaluate.likelihood import bits_per_dimension, log_likelihood, log_probs, scoring_options
from pofx.evaluate.probe import labelled_x, linear_probe
from pofx.evaluate.protocol import Score, differences, require_comparable, weights_hash
from pofx.evaluate.reconstruction import error_rate, reconstruction_error
from pofx.evaluate.sample_quality import MOST, require_enough_for_all, sample_scores
from pofx.evaluate.text import reconstruction_match, running_log_probs, text_scores, translating_options, translation_scores, translations
from pofx.inference.latent import apply_attribute, attribute_vector, interpolate, traverse
from pofx.inference.sampling import draw, known_options, sampling_options
from pofx.kinds import Category, Image, Tokens
from pofx.metrics.annealing import Annealing
from pofx.metrics.bins import bin_centres, different_bins
from pofx.metrics.frechet import frechet_distance
from pofx.metrics.kid import kernel_distance
from pofx.metrics.manifold import Manifold, prdc
from pofx.metrics.modes import class_coverage, modes_covered
from pofx.metrics.parzen import chosen_sigma, parzen_log_likelihood
from pofx.metrics.sliced import sliced_wasserstein
from pofx.model import Model
from pofx.options import Count, Seed, Size

__all__ = [
    "Annealing",
    "CodeReport",
    "Features",
    "Manifold",
    "Score",
    "annealed_scores",
    "apply_attribute",
    "attribute_vector",
    "bin_centres",
    "bits_per_dimension",
    "chosen_sigma",
    "class_coverage",
    "clustering_accuracy",
    "code_report",
    "differences",
    "different_bins",
    "draw",
    "draws_samples",
    "error_rate",
    "evaluate",
    "frechet_distance",
    "interpolate",
    "kernel_distance",
    "linear_probe",
    "log_likelihood",
    "log_probs",
    "modes_covered",
    "parzen_log_likelihood",
    "prdc",
    "reconstruction_error",
    "reconstruction_match",
    "require_comparable",
    "require_measurable",
    "running_log_probs",
    "sample_scores",
    "sliced_wasserstein",
    "text_scores",
    "translation_scores",
    "translations",
    "traverse",
]


def evaluate(
    model: Model,
    data: Any,
    *,
    split: str = "test",
    seed: Seed = 0,
    rows: Size | None = None,
    draws: Count | None = None,
    features: Features | str | None = None,
    probe: Size | None = None,
    weights: dict[str, Any] | None = None,
    given: str | int | None = None,
    unfinished: Path | None = None,
    progress: Progress | None = None,
    **asked: Any,
) -> list[Score]:
    """Every measure that the model's capabilities allow, over one split.

    log p (and bits per dimension for pictures) of a model that scores; reconstruction error of one that encodes and decodes; active
    units of one that encodes; error rate of one that classifies, and clustering accuracy of one that clusters, where the data has labels;
    nats a token, perplexity and bits a character of text, and translations beside their references (`pofx.evaluate.text`);
    and what samples are like, beside the data (`pofx.evaluate.sample_quality`), where they are drawn, with how much
    they tell of their codes.

    Args:
        model: a trained model
        data: a data set, as `pofx.data.load` gives it, with the fields that the model was made for
        split: which of its splits
        seed: of the model's noise
        rows: so many rows from the first; by default all
        draws: how many samples to measure; by default as many as rows, at most 10,000, of a model without a density, and none of one
            that has it; 0: none
        features: what samples are compared by: as `pofx.evaluate.features.chosen` takes it, or such features
        probe: also the accuracy of a linear classifier of the codes that is given the labels of so many rows of the training split
        weights: which weights of its run these are, such as {"rule": "best on valid", "ema": None}; stored in the protocol
        given: of a conditional model: the field with each example's own class, for log p(x | its label) and for samples with the same
            classes, or the number of one class
        unfinished: a folder that keeps finished blocks of log p, so that an evaluation that was killed goes on where it stopped
        progress: called with (rows done, rows in all) while log p is computed, and while samples are drawn
        asked: further keyword arguments of the model's `log_prob`, such as `samples`, of its `sample` and of its `translate`

    Raises:
        UserError: no such split; data that the model was not made for; too few rows; an argument that none of these has got; nothing to
            measure
    """
    drawing = draws_samples(model, draws)
    require_measurable(model, data, split=split, seed=seed, rows=rows, draws=draws, features=features, probe=probe, given=given, **asked)
    if drawing and not isinstance(features, Features):
        features = chosen(data, features)
        require_measurable(model, data, split=split, rows=rows, draws=draws, features=features, given=given, **asked)
    rows_of = data.splits[split]
    of_sample, of_log_prob, of_translate = _sorted(model, asked)
    about = {"data": data.record, "split": split, "weights": {"sha256": weights_hash(model), **(weights or {})}}
    labelled = isinstance(data.fields.get("label"), Category)
    scores: list[Score] = []
    text = isinstance(model.inputs["x"], Tokens)
    if can(model, Scores) and text:
        scores += text_scores(
            model, data, split=split, seed=seed, rows=rows, about=about, unfinished=unfinished, progress=progress, **of_log_prob
        )
    elif can(model, Scores):
        log_p = log_likelihood(
            model, rows_of, seed=seed, rows=rows, about=about, given=given, unfinished=unfinished, progress=progress, **of_log_prob
        )
        scores.append(log_p)
        if isinstance(kind := model.inputs["x"], Image):
            scores.append(bits_per_dimension(log_p, kind))
    if can(model, Translates) and "x" in data.tokenizers:
        scores += translation_scores(model, data, split=split, rows=rows, about=about, progress=progress, **of_translate)
    if can(model, Encodes) and can(model, Decodes):
        scores += (reconstruction_match if text else reconstruction_error)(model, rows_of, rows=rows, about=about)
    if can(model, Encodes):
        scores.append(code_report(model, rows_of, rows=rows, about=about).score())
    if can(model, Classifies) and labelled:
        scores.append(error_rate(model, rows_of, rows=rows, about=about))
    if can(model, Clusters) and labelled and model.clusters:  # one whose codes are numbers only has none
        scores.append(clustering_accuracy(model, data, split=split, rows=rows, about=about))
    if probe is not None:
        scores.append(linear_probe(model, data, labels=probe, split=split, seed=seed, rows=rows, about=about))
    if drawing and can(model, BoundsInformation):
        scores += information(model, n=draws or MOST, seed=seed, about=about).values()
    if drawing:
        assert isinstance(features, Features)
        condition = given if isinstance(given, str) else None
        scores += sample_scores(
            model,
            data,
            features,
            split=split,
            draws=draws,
            rows=rows,
            seed=seed,
            given=condition,
            about=about,
            progress=progress,
            **of_sample,
        )
    if not scores:
        raise UserError(f"there is nothing to measure on {model.title()}: it can {', '.join(model.capabilities()) or 'nothing'}")
    return scores


def require_measurable(
    model: Model,
    data: Any,
    *,
    split: str = "test",
    seed: int = 0,
    rows: int | None = None,
    draws: int | None = None,
    features: Features | str | None = None,
    probe: int | None = None,
    given: str | int | None = None,
    **asked: Any,
) -> None:
    """Raise the UserErrors of `evaluate` that can be known before any work. Arguments as there."""
    if split not in data.splits:
        raise UserError(f"the data has no split {split!r}: {nearest(split, data.splits)}")
    rows_of, labelled = data.splits[split], isinstance(data.fields.get("label"), Category)
    used = {"x", "source", *(["label"] if can(model, Classifies) else []), *([given] if isinstance(given, str) else [])}
    _require_fields(model, data, used)
    drawing = draws_samples(model, draws)
    of_sample, of_log_prob, of_translate = _sorted(model, asked)
    if of_log_prob and not can(model, Scores):
        raise UserError(f"{model.title()} has no log_prob, so {', '.join(sorted(of_log_prob))} means nothing here: remove it")
    n = min(len(rows_of) if rows is None else rows, MOST)
    instead = f"pass --draws {n} (in Python: draws={n}), or as many as the run that it is to be compared with"
    if not drawing and (idle := of_sample.keys() - of_log_prob.keys() - of_translate.keys()):
        raise UserError(f"{', '.join(sorted(idle))} is of samples, and none are drawn: {instead}")
    if drawing and isinstance(given, int):
        raise UserError("samples of one class are not evaluated beside all of them: pass --given label, or --draws 0")
    x = model.inputs["x"]
    if drawing and isinstance(x, Tokens):
        raise UserError("samples of text are not compared with text by features: pass --draws 0, or remove it")
    if features is not None and not drawing:
        raise UserError(f"features are what samples are compared by, and none are drawn: {instead}, or remove --features")
    row = chosen_rows(rows_of, rows, least=1 if isinstance(x, Tokens) and not x.ends else 2)[:1]  # a running text is scored whole
    if isinstance(given, str):
        if given not in rows_of.columns:
            raise UserError(f"the split has no field {given!r}")
        rows_of.require_paired("x", given)
    if "source" in model.inputs:
        rows_of.require_paired("x", "source")
    if "label" in rows_of.columns and (can(model, Classifies) or (can(model, Clusters) and labelled and model.clusters)):
        rows_of.require_paired("x", "label")
    if can(model, Scores):
        scoring_options(model, of_log_prob)
    if can(model, Translates):
        translating_options(model, of_translate)
    if probe is not None:
        require(model, Encodes)
        labelled_x(data, probe, split, seed)
    if drawing:
        sampling_options(model, of_sample)
        d = features.of(rows_of, row).shape[1] if isinstance(features, Features) else known_size(data, features)
        name = features.name if isinstance(features, Features) else features or ""
        require_enough_for_all(min(n, draws or n), d or 0, name)


def _sorted(model: Model, asked: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Which of the further arguments are of the model's `sample`, of its `log_prob`, of its `translate`; some are of several."""
    of_sample, of_translate = (
        {name: value for name, value in asked.items() if name in known_options(model, capability)} for capability in (Samples, Translates)
    )
    others = {name: value for name, value in asked.items() if name not in {*of_sample, *of_translate}}
    return of_sample, others | {n: asked[n] for n in asked if n in known_options(model, Scores)}, of_translate


def draws_samples(model: Model, draws: int | None) -> bool:
    """Whether evaluation draws samples: if it is asked for so many, or no number is given and the model has no density to be measured
    by."""
    if draws:
        require(model, Samples)
    return bool(draws) if draws is not None else can(model, Samples) and not can(model, Scores)


def _require_fields(model: Model, data: Any, used: set[str]) -> None:
    for name, kind in model.inputs.items():
        if name in used and name in data.fields and data.fields[name] != kind:
            raise UserError(f"the model was made for {name}: {kind}, but the data has {name}: {data.fields[name]}")
    if "source" in model.inputs and "source" not in data.fields:
        raise UserError(f"the model is given a source, {model.inputs['source']}, and the data has {', '.join(data.fields)} only")
    if "x" not in data.fields or "x" not in model.inputs:
        raise UserError(f"the model takes {', '.join(model.inputs)}, but the data has {', '.join(data.fields)}: evaluation needs x in both")


__getattr__ = renamed.stayed(__name__)  # names that are called otherwise now, or are elsewhere
