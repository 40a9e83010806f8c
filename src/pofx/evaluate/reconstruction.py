"""How much of x survives encode and decode, and how often a classifier errs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch import Tensor

from pofx.capabilities import Classifies, Decodes, Encodes, require
from pofx.data.blocks import BLOCK, blocks, chosen_rows, rows_record
from pofx.errors import UserError
from pofx.evaluate.protocol import Score, environment, mean_score
from pofx.evaluate.registry import measure
from pofx.evaluate.request import Request, encoded
from pofx.model import Model, device_of, evaluating


def reconstruction_error(
    model: Model,
    split: Any,
    *,
    rows: int | np.ndarray | None = None,
    codes: Tensor | None = None,
    about: dict[str, Any] | None = None,
) -> tuple[Score, Score]:
    """The squared error of decode(encode(x)) in x's own units: its sum over dimensions, and its mean over dimensions (the MSE).

    Args:
        model: any model that encodes and decodes
        split: a split of a data set
        rows: so many rows from the first, or the rows' numbers; by default all
        codes: of these rows, where somebody has them
        about: what the caller knows of the data and the weights, stored in the protocol

    Returns:
        the mean over examples of the error per example (summed over dimensions), and per dimension
    """
    _, decoder = require(model, Encodes), require(model, Decodes)
    chosen = chosen_rows(split, rows)
    z_of = (encoded(model, split, chosen) if codes is None else codes).split(BLOCK)
    sums: list[float] = []
    size = 1
    with evaluating(model):
        for number, batch in blocks(split, chosen, device_of(model)):
            x = batch["x"]
            error = (decoder.decode(z_of[number].to(x.device)) - x).double().square().flatten(1)
            size = error.shape[1]
            sums += error.sum(1).tolist()
    protocol = {**(about or {}), **rows_record(chosen), **environment(model)}
    values = np.array(sums)
    return (
        mean_score("reconstruction squared error", values, "per example, summed over dimensions", protocol),
        mean_score("reconstruction MSE", values / size, "per dimension", protocol),
    )


@measure("reconstruction", needs=(Encodes, Decodes), when=lambda request: not request.x.text, place=300)
def reconstruction_scores(request: Request) -> tuple[Score, Score]:
    """What is lost by encoding and decoding."""
    return reconstruction_error(request.model, request.rows_of, rows=request.rows, codes=request.codes, about=request.about)


def error_rate(model: Model, split: Any, *, rows: int | np.ndarray | None = None, about: dict[str, Any] | None = None) -> Score:
    """The share of examples whose largest logit is not their label's. Arguments as in `reconstruction_error`."""
    classifier = require(model, Classifies)
    if "label" in split.columns:
        split.require_paired("x", "label")
    chosen = chosen_rows(split, rows)
    wrong: list[bool] = []
    with evaluating(model):
        for _, batch in blocks(split, chosen, device_of(model)):
            if "label" not in batch:
                raise UserError(f"the error rate needs labels, but the data has {', '.join(batch)}")
            wrong += (classifier.classify(batch["x"]).argmax(1) != batch["label"]).tolist()
    protocol = {**(about or {}), **rows_record(chosen), **environment(model)}
    return mean_score("error rate", np.array(wrong, dtype=np.float64), "share of examples", protocol)


@measure("error rate", needs=(Classifies,), fields=("label",), place=500)
def error_scores(request: Request) -> Iterator[Score]:
    """How often the class is not the label."""
    yield error_rate(request.model, request.rows_of, rows=request.rows, about=request.about)
