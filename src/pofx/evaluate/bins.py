"""Statistically different bins as scores, with what they say of other real rows beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from pofx import renamed
from pofx.capabilities import Samples
from pofx.evaluate.protocol import Score
from pofx.evaluate.registry import measure
from pofx.evaluate.request import Request
from pofx.metrics.bins import LEAST, bin_centres, different_bins
from pofx.metrics.kid import SUBSETS

BINS, ROWS_A_BIN = 100, 10  # at most so many bins, each of so many rows on average


def bins_scores(
    real: Tensor | np.ndarray,
    samples: Tensor | np.ndarray,
    *,
    held_out: Tensor | np.ndarray | None = None,
    K: int = 100,
    level: float = 0.05,
    seed: int = 0,
    features: str = "",
    about: dict[str, Any] | None = None,
) -> tuple[Score, Score]:
    """NDB / K and the Jensen-Shannon divergence of the histograms as scores; lower is better.

    Bins are made on the real rows, so that even other real rows differ in a few more bins than `level`, the more the fewer rows there are
    for so many dimensions: what they get is the note.

    Args:
        real: training rows (n, *shape), which make the bins too
        samples: (m, *shape)
        held_out: other real rows, for the note
        K: bins
        level: of the two-sided test
        seed: of k-means
        features: what the rows are features of, which the scores are named after
        about: what the caller knows of data, weights and features, stored in the protocol
    """
    of = f"[{features}]" * bool(features)
    centres = bin_centres(real, K, seed=seed)
    bins = different_bins(real, samples, centres, level=level)
    note = None
    if held_out is not None and len(held_out) >= LEAST * K:
        other = different_bins(real, held_out, centres, level=level)
        note = (
            f"{len(held_out)} real rows that made no bins differ in {other.different} of {K} bins; divergence {other.divergence:.3g} nats"
        )
    protocol = {
        **(about or {}),
        "samples": len(samples),
        "real rows": len(real),
        "bins": {"K": K, "by": "k-means on the real rows", "seed": seed, "level": level},
    }
    return (
        Score(f"different bins, NDB/{K}{of}", bins.share, "share of bins", None, protocol, note),
        Score(f"Jensen-Shannon divergence of {K} bins{of}", bins.divergence, "nats", None, protocol),
    )


@measure("bins", needs=(Samples,), place=910)
def bins_of_samples(request: Request) -> tuple[Score, ...]:
    """Bins of another split's features, where samples are too many or too few; of no scores where that has too few rows."""
    spare = request.other_features
    K = min(BINS, len(spare) // ROWS_A_BIN, request.drawn // ROWS_A_BIN)
    if len(spare) <= max(spare.shape[1], 2 * SUBSETS) or K < 2:
        return ()
    return bins_scores(
        spare,
        request.sample_features,
        held_out=request.row_features,
        K=K,
        seed=request.seed,
        features=request.compared_by.name,
        about=request.of_features,
    )


__getattr__ = renamed.stayed(__name__)  # names that are elsewhere now
