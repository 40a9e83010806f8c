"""How like the data samples are: every measure that compares samples of a model with rows of a split."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pofx.data.blocks import Progress, blocks, chosen_rows, rows_record
from pofx.data.sources.synthetic import KNOWN
from pofx.errors import UserError
from pofx.evaluate.bins import bins_scores
from pofx.evaluate.features import Features
from pofx.evaluate.modes import class_scores, mode_scores
from pofx.evaluate.parzen import parzen_score
from pofx.evaluate.protocol import Score, environment
from pofx.inference.sampling import draw, sampling_options
from pofx.kinds import Category, Image, Vector
from pofx.metrics.frechet import frechet_distance, require_enough
from pofx.metrics.kid import SUBSETS, kernel_distance
from pofx.metrics.manifold import prdc
from pofx.metrics.sliced import sliced_wasserstein
from pofx.model import Model

MOST = 10_000  # rows that samples are compared with, and samples if no other number is asked for
PARZEN_VALID = 1000  # rows that choose the bandwidth of a Parzen window
PROJECTIONS = 1000
BINS, ROWS_A_BIN = 100, 10  # at most so many bins, each of so many rows on average


def sample_scores(
    model: Model,
    data: Any,
    features: Features,
    *,
    split: str = "test",
    draws: int | None = None,
    rows: int | None = None,
    seed: int = 0,
    k: int = 5,
    given: str | None = None,
    about: dict[str, Any] | None = None,
    progress: Progress | None = None,
    **asked: Any,
) -> list[Score]:
    """Frechet and kernel distance, precision, recall, density, coverage, sliced Wasserstein distance; bins, modes, and a Parzen window.

    The note of each says what as many rows of the training split get in the samples' place: no model should be expected to do better.
    Bins are made of those rows. Classes are found by the features' classifier, if they have one for the data's labels.

    Args:
        model: any model that samples
        data: a data set, as `pofx.data.load` gives it
        features: what both are compared by
        split: whose rows samples are compared with, the first 10,000 at most
        draws: how many samples; by default as many as rows
        rows: of the split, so many from the first
        seed: of the samples, and of the directions of the sliced distance
        k: nearest neighbour whose distance is a ball's radius
        given: of a conditional model: the field with the classes; each sample is drawn with the class of a row of the split, in turn. By
            default the model draws classes itself
        about: what the caller knows of the data and the weights, stored in each protocol
        progress: called with (drawn, in all)
        asked: further keyword arguments of the model's `sample`

    Raises:
        UserError: too few rows or samples for the features' covariance, or for k neighbours; samples that are no pictures
    """
    rows_of = data.splits[split]
    chosen = chosen_rows(rows_of, rows)[:MOST]
    n = len(chosen) if draws is None else draws
    sampling = sampling_options(model, asked)
    real = features.of(rows_of, chosen)
    require_enough_for_all(min(len(real), n), real.shape[1], features.name, k)
    classes = None if given is None else _field(rows_of, chosen, given)[torch.arange(n) % len(chosen)]
    x = draw(model, n, seed=seed, given=classes, progress=progress, **asked)
    others = [name for name in ("train", "valid", "test") if name in data.splits and name != split]

    base = {
        **(about or {}),
        **rows_record(chosen),
        "draws": n,
        "seed": seed,
        "sampling": sampling,
        **({} if given is None else {"given": given}),
        **environment(model),
    }
    protocol = {**base, "features": features.record()}
    fake = features(x)
    found = _compared(real, fake, protocol, features, seed, k)
    spare = np.arange(min(n, len(data.splits[others[0]])) if others else 0)
    if len(spare) > max(real.shape[1], 2 * SUBSETS, k):
        spare_real = features.of(data.splits[others[0]], spare)
        floors = _compared(real, spare_real, protocol, features, seed, k)
        words = f"of {len(spare)} rows of {others[0]} in place of samples"
        found = [replace(score, note=f"{score.what}: {floor.value:.4g} {words}") for score, floor in zip(found, floors, strict=True)]
        if (bins := min(BINS, len(spare) // ROWS_A_BIN, n // ROWS_A_BIN)) > 1:
            found += bins_scores(spare_real, fake, held_out=real, K=bins, seed=seed, features=features.name, about=protocol)
    label = data.fields.get("label")
    if features.classify is not None and isinstance(label, Category) and features.tells(label):
        labels = _field(rows_of, np.arange(len(rows_of)), "label")
        share = torch.bincount(labels, minlength=label.classes).double() / len(labels)
        found += class_scores(features.classes_of(x), label.classes, share if share.all() else None, features=features.name, about=protocol)
    if (known := KNOWN.get(str(data.record.get("spec")))) is not None:
        found += mode_scores(x, np.array(known.centres), known.sd, about=base)
    if others and isinstance(model.inputs["x"], (Image, Vector)):
        name = "valid" if "valid" in others else others[0]
        held_out = _field(data.splits[name], np.arange(min(PARZEN_VALID, len(data.splits[name]))), "x")
        chosen_on = "validation rows" if name == "valid" else f"{name} rows"
        found.append(parzen_score(x, held_out, _field(rows_of, chosen, "x"), chosen_on=chosen_on, about=base))
    return found


def require_enough_for_all(n: int, d: int, name: str = "", k: int = 5) -> None:
    """Raise a UserError unless n rows, and as many samples, are enough for every measure of `sample_scores` in d features."""
    require_enough(n, d, name)
    if n < (least := max(2 * SUBSETS, k + 1)):
        raise UserError(f"samples are compared with rows where there are {least} of either or more, not {n}: use more rows and draws")


def _compared(real: np.ndarray, fake: np.ndarray, protocol: dict[str, Any], features: Features, seed: int, k: int) -> list[Score]:
    """The scores of `fake` features (m, d) beside `real` ones (n, d)."""
    name = features.name
    mmd, error = kernel_distance(real, fake)
    shares = prdc(real, fake, k=k)
    of_k, of_subsets = {**protocol, "k": k}, {**protocol, "kernel": "(x.y / d + 1)^3", "subsets": SUBSETS}
    units = {"precision": "share of samples", "recall": "share of data", "density": "of k balls", "coverage": "share of data"}
    distance = sliced_wasserstein(real, fake, projections=PROJECTIONS, seed=seed)
    return [
        Score(f"{features.measure}[{name}]", frechet_distance(real, fake), "squared distance", None, protocol),
        Score(f"kid[{name}]", mmd, "squared distance", error, of_subsets),
        *(Score(f"{measure}[{name}]", getattr(shares, measure), unit, None, of_k) for measure, unit in units.items()),
        Score(f"sliced Wasserstein[{name}]", distance, "distance", None, {**protocol, "projections": PROJECTIONS}),
    ]


def _field(split: Any, rows: np.ndarray, name: str) -> Tensor:
    """One field of these rows, (n, ...)."""
    parts = [batch[name] for _, batch in blocks(split, rows, torch.device("cpu")) if name in batch]
    if not parts:
        raise UserError(f"the split has no field {name!r}")
    return torch.cat(parts)
