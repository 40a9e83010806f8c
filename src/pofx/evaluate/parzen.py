"""The Parzen-window log-likelihood as a score, with the warning that belongs to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from pofx import renamed
from pofx.capabilities import Samples
from pofx.evaluate.protocol import Score, mean_score
from pofx.evaluate.registry import measure
from pofx.evaluate.request import Request, column
from pofx.metrics.parzen import SIGMAS, chosen_sigma, parzen_log_likelihood

VALID = 1000  # rows that choose the bandwidth
WARNING = (
    "a Parzen window must not rank models: 10,000 real training pictures of MNIST score only about 243 nats, less than models whose samples"
    " are worse (Theis, van den Oord & Bethge, 2016, arXiv 1511.01844)"
)


def parzen_score(
    samples: Tensor | np.ndarray,
    valid: Tensor | np.ndarray,
    test: Tensor | np.ndarray,
    *,
    sigmas: Sequence[float] = SIGMAS,
    chosen_on: str = "validation rows",
    about: dict[str, Any] | None = None,
) -> Score:
    """The mean Parzen-window log-likelihood of the test rows, the bandwidth chosen on the validation rows, with the warning as its note.

    Its standard error is that over test rows alone; other samples of the same model would move it too.

    Args:
        samples: n samples (n, *shape)
        valid: rows to choose the bandwidth on
        test: rows to score
        sigmas: bandwidths to choose from, in the units of x
        chosen_on: what the protocol calls the rows that choose
        about: what the caller knows of data, weights and seed, stored in the protocol
    """
    sigma = chosen_sigma(samples, valid, sigmas)
    protocol = {
        **(about or {}),
        "samples": len(samples),
        "rows": len(test),
        "sigma": {"first tried": [float(s) for s in sorted(sigmas)], "chosen on": f"{len(valid)} {chosen_on}"},
        "chosen": {"sigma": sigma},
    }
    what = f"Parzen-window log-likelihood, {len(samples)} samples"
    score = mean_score(what, parzen_log_likelihood(samples, test, sigma), "nats per example", protocol)
    return Score(what, score.value, score.unit, score.standard_error, protocol, WARNING)


def _suits(request: Request) -> bool:
    """Whether x are numbers near each other where they are alike: bits are not, nor steps, which a shift in time moves far away."""
    kind = request.x
    return kind.dtype == "float32" and kind.likelihood != "bernoulli" and not kind.in_time and bool(request.others)


@measure("Parzen window", needs=(Samples,), when=_suits, place=940)
def parzen_of_samples(request: Request) -> Iterator[Score]:
    """The rows under a density around the samples, whose bandwidth is chosen on validation rows, or where these are measured, on others."""
    name = "valid" if "valid" in request.others else request.others[0]
    split = request.data.splits[name]
    valid = column(split, np.arange(min(VALID, len(split))), "x")
    yield parzen_score(
        request.samples,
        valid,
        column(request.rows_of, request.compared_rows, "x"),
        chosen_on="validation rows" if name == "valid" else f"{name} rows",
        about=request.of_samples,
    )


__getattr__ = renamed.stayed(__name__)  # names that are elsewhere now
