"""Scores with their protocol: every measure that a model's capabilities allow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pofx.errors import UserError, nearest
from pofx.evaluate.codes import CodeReport, apply_attribute, attribute_vector, code_report, interpolate, traverse
from pofx.evaluate.likelihood import Progress, bits_per_dimension, log_likelihood, log_probs
from pofx.evaluate.protocol import Score, differences, require_comparable, weights_hash
from pofx.evaluate.reconstruction import error_rate, reconstruction_error
from pofx.kinds import Image, Seed, Size
from pofx.model import Model

__all__ = [
    "CodeReport",
    "Score",
    "apply_attribute",
    "attribute_vector",
    "bits_per_dimension",
    "code_report",
    "differences",
    "error_rate",
    "evaluate",
    "interpolate",
    "log_likelihood",
    "log_probs",
    "reconstruction_error",
    "require_comparable",
    "traverse",
]


def evaluate(
    model: Model,
    data: Any,
    *,
    split: str = "test",
    seed: Seed = 0,
    rows: Size | None = None,
    weights: dict[str, Any] | None = None,
    given: str | int | None = None,
    unfinished: Path | None = None,
    progress: Progress | None = None,
    **asked: Any,
) -> list[Score]:
    """Every measure that the model's capabilities allow, over one split.

    log p (and bits per dimension for pictures) of a model that scores; reconstruction error of one that encodes and decodes; active
    units of one that encodes; error rate of one that classifies, where the data has labels.

    Args:
        model: a trained model
        data: a data set, as `pofx.data.load` gives it, with the fields that the model was made for
        split: which of its splits
        seed: of the model's noise
        rows: so many rows from the first; by default all
        weights: which weights of its run these are, such as {"rule": "best on valid", "ema": None}; stored in the protocol
        given: of a conditional model: the field with each example's own class, for log p(x | its label), or the number of one class
        unfinished: a folder that keeps finished blocks of log p, so that an evaluation that was killed goes on where it stopped
        progress: called with (rows done, rows in all) while log p is computed
        asked: further keyword arguments of the model's `log_prob`, such as `samples`

    Raises:
        UserError: no such split; data that the model was not made for; too few rows; an argument that `log_prob` has not got; nothing
            to measure
    """
    if split not in data.splits:
        raise UserError(f"the data has no split {split!r}: {nearest(split, data.splits)}")
    can = model.capabilities()
    _require_fields(model, data, {"x", *(["label"] if "classifies" in can else []), *([given] if isinstance(given, str) else [])})
    if asked and "scores" not in can:
        raise UserError(f"{model.title()} has no log_prob, so {', '.join(sorted(asked))} means nothing here: leave it out")
    rows_of = data.splits[split]
    about = {"data": data.record, "split": split, "weights": {"sha256": weights_hash(model), **(weights or {})}}
    scores: list[Score] = []
    if "scores" in can:
        log_p = log_likelihood(
            model, rows_of, seed=seed, rows=rows, about=about, given=given, unfinished=unfinished, progress=progress, **asked
        )
        scores.append(log_p)
        if isinstance(kind := model.inputs["x"], Image):
            scores.append(bits_per_dimension(log_p, kind))
    if "encodes" in can and "decodes" in can:
        scores += reconstruction_error(model, rows_of, rows=rows, about=about)
    if "encodes" in can:
        scores.append(code_report(model, rows_of, rows=rows, about=about).score())
    if "classifies" in can and "label" in data.fields:
        scores.append(error_rate(model, rows_of, rows=rows, about=about))
    if not scores:
        raise UserError(f"there is nothing to measure on {model.title()}: it can {', '.join(can) or 'nothing'}")
    return scores


def _require_fields(model: Model, data: Any, used: set[str]) -> None:
    for name, kind in model.inputs.items():
        if name in used and name in data.fields and data.fields[name] != kind:
            raise UserError(f"the model was made for {name}: {kind}, but the data has {name}: {data.fields[name]}")
    if "x" not in data.fields or "x" not in model.inputs:
        raise UserError(f"the model takes {', '.join(model.inputs)}, but the data has {', '.join(data.fields)}: evaluation needs x in both")
