"""Scores with their protocol: every measure that a model's capabilities allow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pofx import renamed
from pofx.capabilities import Classifies, Samples, Scores, can
from pofx.data.blocks import Progress, chosen_rows
from pofx.errors import UserError, nearest
from pofx.evaluate.clusters import clustering_accuracy, information
from pofx.evaluate.codes import CodeReport, code_report
from pofx.evaluate.decoders import annealed_scores
from pofx.evaluate.features import Features
from pofx.evaluate.likelihood import bits_per_dimension, log_likelihood, log_probs
from pofx.evaluate.probe import linear_probe
from pofx.evaluate.protocol import Score, differences, require_comparable, weights_hash
from pofx.evaluate.reconstruction import error_rate, reconstruction_error
from pofx.evaluate.registry import Measure, measure, measures, require_used
from pofx.evaluate.request import MOST, Request, draws_samples
from pofx.evaluate.sample_quality import sample_scores
from pofx.evaluate.text import reconstruction_match, running_log_probs, text_scores, translation_scores, translations
from pofx.inference.latent import apply_attribute, attribute_vector, interpolate, traverse
from pofx.inference.sampling import draw
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
    "Measure",
    "Request",
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
    "information",
    "interpolate",
    "kernel_distance",
    "linear_probe",
    "log_likelihood",
    "log_probs",
    "measure",
    "measures",
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
        asked: further keyword arguments of the model's `log_prob`, such as `samples`, of its `sample` and of its `translate`; and options
            of measures, such as `k`

    Raises:
        UserError: no such split; data that the model was not made for; too few rows; an argument that none of these has got; nothing to
            measure
    """
    request = Request(
        model,
        data,
        split=split,
        seed=seed,
        rows=rows,
        draws=draws,
        features=features,
        given=given,
        unfinished=unfinished,
        progress=progress,
        asked=asked if probe is None else {**asked, "probe": probe},
    )
    _require(request)
    if request.drawing and not isinstance(features, Features):
        request = replace(request, features=request.compared_by)
        _require(request)
    request = replace(request, about={"data": data.record, "split": split, "weights": {"sha256": weights_hash(model), **(weights or {})}})
    scores = [score for known in measures() if known.applies(request) for score in known(request)]
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
    asked = asked if probe is None else {**asked, "probe": probe}
    _require(Request(model, data, split=split, seed=seed, rows=rows, draws=draws, features=features, given=given, asked=asked))


def _require(request: Request) -> None:
    model, data, given = request.model, request.data, request.given
    if request.split not in data.splits:
        raise UserError(f"the data has no split {request.split!r}: {nearest(request.split, data.splits)}")
    rows_of = request.rows_of
    used = {"x", "source", *(["label"] if can(model, Classifies) else []), *([given] if isinstance(given, str) else [])}
    _require_fields(model, data, used)
    found = [known for known in measures() if known.applies(request)]
    if request.scoring and not can(model, Scores):
        raise UserError(f"{model.title()} has no log_prob, so {', '.join(sorted(request.scoring))} means nothing here: remove it")
    _require_drawing(request)
    chosen_rows(rows_of, request.rows, least=request.least)
    if isinstance(given, str):
        if given not in rows_of.columns:
            raise UserError(f"the split has no field {given!r}")
        rows_of.require_paired("x", given)
    for field in ("source", *(field for known in found for field in known.fields)):
        if field in rows_of.columns and (field != "source" or field in model.inputs):
            rows_of.require_paired("x", field)
    request.require_options()
    for name in request.asked:
        of = [known for known in measures() if name in known.options]
        if of and not any(known in found for known in of) and name not in {*request.sampling, *request.scoring, *request.translating}:
            require_used(model, name, of)
    for known in found:
        known.require(request)


def _require_drawing(request: Request) -> None:
    """Raise a UserError where what is asked is of samples and none are drawn, or samples are drawn that are not measured."""
    n = min(len(request.rows_of) if request.rows is None else request.rows, MOST)
    instead = f"pass --draws {n} (in Python: draws={n}), or as many as the run that it is to be compared with"
    if request.drawing:
        if isinstance(request.given, int):
            raise UserError("samples of one class are not evaluated beside all of them: pass --given label, or --draws 0")
        if request.x.text:
            raise UserError("samples of text are not compared with text by features: pass --draws 0, or remove it")
        return
    of_samples = [known for known in measures() if Samples in known.needs]
    idle = request.sampling.keys() | {name for known in of_samples for name in known.options if name in request.asked}
    if idle := idle - request.scoring.keys() - request.translating.keys():
        raise UserError(f"{', '.join(sorted(idle))} is of samples, and none are drawn: {instead}")
    if request.features is not None:
        raise UserError(f"features are what samples are compared by, and none are drawn: {instead}, or remove --features")


def _require_fields(model: Model, data: Any, used: set[str]) -> None:
    for name, kind in model.inputs.items():
        if name in used and name in data.fields and data.fields[name] != kind:
            raise UserError(f"the model was made for {name}: {kind}, but the data has {name}: {data.fields[name]}")
    if "source" in model.inputs and "source" not in data.fields:
        raise UserError(f"the model is given a source, {model.inputs['source']}, and the data has {', '.join(data.fields)} only")
    if "x" not in data.fields or "x" not in model.inputs:
        raise UserError(f"the model takes {', '.join(model.inputs)}, but the data has {', '.join(data.fields)}: evaluation needs x in both")


__getattr__ = renamed.stayed(__name__)  # names that are called otherwise now, or are elsewhere
