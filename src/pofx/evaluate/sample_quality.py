"""How like the data samples are: distances and shares of features, and all other measures that are of samples."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from pofx.capabilities import Samples
from pofx.data.blocks import Progress, chosen_rows
from pofx.errors import UserError
from pofx.evaluate.features import Features
from pofx.evaluate.protocol import Score
from pofx.evaluate.registry import measure, measures
from pofx.evaluate.request import MOST, Request
from pofx.metrics.frechet import frechet_distance, require_enough
from pofx.metrics.kid import SUBSETS, kernel_distance
from pofx.metrics.manifold import prdc
from pofx.metrics.sliced import sliced_wasserstein
from pofx.model import Model
from pofx.options import Size

PROJECTIONS = 1000


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
        asked: further keyword arguments of the model's `sample`, and options of these measures

    Raises:
        UserError: too few rows or samples for the features' covariance, or for k neighbours; samples that are no pictures
    """
    request = Request(
        model,
        data,
        split=split,
        seed=seed,
        rows=rows,
        draws=len(chosen_rows(data.splits[split], rows)[:MOST]) if draws is None else draws,
        features=features,
        given=given,
        about=about or {},
        progress=progress,
        asked={"k": k, **asked},
    )
    found = [known for known in measures() if Samples in known.needs and known.applies(request)]
    for known in found:
        known.require(request)
    return [score for known in found for score in known(request)]


def require_enough_for_all(n: int, d: int, name: str = "", k: int = 5) -> None:
    """Raise a UserError unless n rows, and as many samples, are enough for every measure of `sample_scores` in d features."""
    require_enough(n, d, name)
    if n < (least := max(2 * SUBSETS, k + 1)):
        raise UserError(f"samples are compared with rows where there are {least} of either or more, not {n}: use more rows and draws")


def _check(request: Request, *, k: int = 5) -> None:
    n = min(len(request.rows_of) if request.rows is None else request.rows, MOST)
    require_enough_for_all(min(n, request.draws or n), *request.features_known, k)


@measure("distances and shares of features", needs=(Samples,), check=_check, place=900)
def features_compared(request: Request, *, k: Size = 5) -> list[Score]:
    """Frechet and kernel distance, precision, recall, density, coverage, sliced Wasserstein distance.

    Args:
        k: of samples' precision, recall, density and coverage: nearest neighbour whose distance is a ball's radius
    """
    real, features, protocol = request.row_features, request.compared_by, request.of_features
    found = _compared(real, request.sample_features, protocol, features, request.seed, k)
    spare = request.other_features
    if len(spare) <= max(real.shape[1], 2 * SUBSETS, k):
        return found
    floors = _compared(real, spare, protocol, features, request.seed, k)
    words = f"of {len(spare)} rows of {request.others[0]} in place of samples"
    return [replace(score, note=f"{score.what}: {floor.value:.4g} {words}") for score, floor in zip(found, floors, strict=True)]


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
        *(Score(f"{share}[{name}]", getattr(shares, share), unit, None, of_k) for share, unit in units.items()),
        Score(f"sliced Wasserstein[{name}]", distance, "distance", None, {**protocol, "projections": PROJECTIONS}),
    ]
