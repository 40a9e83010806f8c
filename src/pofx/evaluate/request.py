"""What is to be measured on what, and what several measures need of it: each computed once.

Shapes: n rows, m samples, d features or code dimensions, *shape one x.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pofx.capabilities import Encodes, Samples, Scores, Translates, can, require
from pofx.data.blocks import Progress, blocks, chosen_rows, rows_record
from pofx.errors import UserError
from pofx.evaluate.features import Features, chosen, known_size
from pofx.evaluate.protocol import environment
from pofx.inference.arguments import known_options, sampling_options, scoring_options, translating_options
from pofx.inference.sampling import draw
from pofx.kinds import Kind
from pofx.model import Model, device_of, evaluating

MOST = 10_000  # rows that samples are compared with, and samples if no other number is asked for


@dataclass(frozen=True, eq=False)
class Request:
    """A model, rows of a data set, and what is asked of them.

    What is computed of these (samples, features, codes) is computed when a measure first asks for it, and kept for the others: in blocks of
    100 rows, from randomness that is a function of the seed, so that no measure depends on which others there are.

    Args:
        model: a trained model
        data: a data set, as `pofx.data.load` gives it
        split: which of its splits is measured on
        seed: of the model's noise, and of samples
        rows: so many rows from the first; by default all
        draws: how many samples; by default as many as rows, 10,000 at most, of a model without a density, and none of one that has it
        features: what samples are compared by: as `pofx.evaluate.features.chosen` takes it, or such features
        given: of a conditional model: the field with each example's own class, or the number of one class
        about: what the caller knows of the data and the weights: the beginning of every protocol
        unfinished: a folder that keeps finished blocks of log p
        progress: called with (done, in all) by what takes long
        asked: options of measures, and further arguments of the model's `log_prob`, `sample` and `translate`, by name
    """

    model: Model
    data: Any
    split: str = "test"
    seed: int = 0
    rows: int | None = None
    draws: int | None = None
    features: Features | str | None = None
    given: str | int | None = None
    about: dict[str, Any] = field(default_factory=dict)
    unfinished: Path | None = None
    progress: Progress | None = None
    asked: dict[str, Any] = field(default_factory=dict)

    # What is asked

    @property
    def x(self) -> Kind:
        """The kind of what the model is of."""
        return self.model.inputs["x"]

    @property
    def rows_of(self) -> Any:
        """The split."""
        return self.data.splits[self.split]

    @property
    def least(self) -> int:
        """How many rows there must be: a running text is scored whole."""
        return 1 if self.x.text and not self.x.ragged else 2

    def has(self, name: str) -> bool:
        """Whether the data have a field; a label only if it is one of several classes."""
        kind = self.data.fields.get(name)
        return kind is not None and (name != "label" or bool(kind.classes))

    @property
    def drawing(self) -> bool:
        """Whether samples are drawn."""
        return draws_samples(self.model, self.draws)

    @cached_property
    def sampling(self) -> dict[str, Any]:
        """Those of `asked` that are arguments of the model's `sample`."""
        return self._of(Samples)

    @cached_property
    def translating(self) -> dict[str, Any]:
        """Those of `asked` that are arguments of the model's `translate`."""
        return self._of(Translates)

    @cached_property
    def scoring(self) -> dict[str, Any]:
        """Those of `asked` that are the model's `log_prob`'s: some are of several, and what nobody else knows is taken for one."""
        elsewhere = {*self.sampling, *self.translating, *self._measures_know} - {*known_options(self.model, Scores)}
        return {name: value for name, value in self.asked.items() if name not in elsewhere}

    @cached_property
    def _measures_know(self) -> set[str]:
        from pofx.evaluate.registry import measures  # which imports the measures, and they this file

        return {name for known in measures() for name in known.options}

    def _of(self, capability: type) -> dict[str, Any]:
        known = known_options(self.model, capability)
        return {name: value for name, value in self.asked.items() if name in known}

    def require_options(self) -> None:
        """Raise a UserError unless the model's methods take what is asked of them."""
        if can(self.model, Scores):
            scoring_options(self.model, self.scoring)
        if can(self.model, Translates):
            translating_options(self.model, self.translating)
        if self.drawing:
            sampling_options(self.model, self.sampling)

    # What is computed once

    @cached_property
    def chosen(self) -> np.ndarray:
        """The rows that are measured on, int64 (n,)."""
        return chosen_rows(self.rows_of, self.rows)

    @cached_property
    def codes(self) -> Tensor:
        """The codes of the rows, (n, ...), on the CPU."""
        return encoded(self.model, self.rows_of, self.chosen)

    @cached_property
    def compared_by(self) -> Features:
        """What samples are compared by."""
        return self.features if isinstance(self.features, Features) else chosen(self.data, self.features)

    @property
    def features_known(self) -> tuple[int, str]:
        """How many features samples will be compared by, 0 where that cannot be told yet, and what they are called."""
        if not isinstance(self.features, Features):
            return known_size(self.data, self.features) or 0, self.features or ""
        row = chosen_rows(self.rows_of, self.rows, least=self.least)[:1]
        return self.features.of(self.rows_of, row).shape[1], self.features.name

    @cached_property
    def compared_rows(self) -> np.ndarray:
        """The rows that samples are compared with: the first 10,000 at most."""
        return self.chosen[:MOST]

    @cached_property
    def samples(self) -> Tensor:
        """The samples, float32 (m, *shape), on the CPU; where a field is given, each of the class of a row, in turn."""
        condition = None
        if isinstance(self.given, str):
            condition = column(self.rows_of, self.compared_rows, self.given)[torch.arange(self.drawn) % len(self.compared_rows)]
        return draw(self.model, self.drawn, seed=self.seed, given=condition, progress=self.progress, **self.sampling)

    @property
    def drawn(self) -> int:
        """How many samples there are, m."""
        return len(self.compared_rows) if self.draws is None else self.draws

    @cached_property
    def sample_features(self) -> np.ndarray:
        """The features of the samples, float64 (m, d)."""
        return self.compared_by(self.samples)

    @cached_property
    def row_features(self) -> np.ndarray:
        """The features of the rows that samples are compared with, float64 (n, d)."""
        return self.compared_by.of(self.rows_of, self.compared_rows)

    @property
    def others(self) -> list[str]:
        """The other splits, that which is trained on first."""
        return [name for name in ("train", "valid", "test") if name in self.data.splits and name != self.split]

    @cached_property
    def other_features(self) -> np.ndarray:
        """The features of as many rows of the first other split as there are samples, float64: what no model should be expected to beat."""
        if not self.others:
            return self.row_features[:0]
        split = self.data.splits[self.others[0]]
        rows = np.arange(min(self.drawn, len(split)))
        return self.compared_by.of(split, rows) if len(rows) else self.row_features[:0]

    # What protocols begin with

    @cached_property
    def of_samples(self) -> dict[str, Any]:
        """The protocol of what is measured of samples."""
        return {
            **self.about,
            **rows_record(self.compared_rows),
            "draws": self.drawn,
            "seed": self.seed,
            "sampling": sampling_options(self.model, self.sampling),
            **({"given": self.given} if isinstance(self.given, str) else {}),
            **environment(self.model),
        }

    @cached_property
    def of_features(self) -> dict[str, Any]:
        """The protocol of what is measured of samples' features."""
        return {**self.of_samples, "features": self.compared_by.record()}


def draws_samples(model: Model, draws: int | None) -> bool:
    """Whether evaluation draws samples: if it is asked for so many, or no number is given and the model has no density to be measured
    by."""
    if draws:
        require(model, Samples)
    return bool(draws) if draws is not None else can(model, Samples) and not can(model, Scores)


def encoded(model: Model, split: Any, rows: np.ndarray) -> Tensor:
    """The codes of rows of a split, (n, ...), on the CPU; in blocks, so that they depend on no batch size."""
    encoder = require(model, Encodes)
    with evaluating(model):
        return torch.cat([encoder.encode(batch["x"]).cpu() for _, batch in blocks(split, rows, device_of(model))])


def column(split: Any, rows: np.ndarray, name: str) -> Tensor:
    """One field of these rows, (n, ...)."""
    parts = [batch[name] for _, batch in blocks(split, rows, torch.device("cpu")) if name in batch]
    if not parts:
        raise UserError(f"the split has no field {name!r}")
    return torch.cat(parts)
