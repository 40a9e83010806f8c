"""Markov, AR(24) and latent autoregressive models of three public series: nats a step, and how many steps their 90 % intervals cover.

Each series is cut 80 : 10 : 10 in time. A window of 48 steps is scored whole, so the density of its first steps counts too; intervals are
those of 200 futures of 12 steps, each drawn given the 36 before. The test split chose nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch

from benchmarks.rows import Row
from benchmarks.training import protocol_of, trained
from pofx.data import reload
from pofx.evaluate import log_probs
from pofx.inference.forecasting import continued
from pofx.randomness import generator
from pofx.run import Run

SERIES = {"sunspots": "monthly sunspots", "temperatures": "daily least temperatures", "ett": "ETTh1, 7 channels"}
MODELS = {"independent": "independent Gaussian steps", "markov": "Markov", "ar": "AR(24)", "latent": "latent (GRU 64)"}
CONTEXT, HORIZON, FUTURES, EVERY = 36, 12, 200, 6  # steps, steps, draws, windows from one that is continued to the next

NATS, COVERED = "{series}, test: -log p a step, {model}", "{series}, test: steps within the 90 % interval, {model}"
ROWS = [
    Row(what.format(series=series, model=model), unit)
    for series in SERIES.values()
    for what, unit in ((NATS, "nats"), (COVERED, "%"))
    for model in MODELS.values()
]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    for series, shown in SERIES.items():
        for model, name in MODELS.items():
            run = trained(f"{series}_{model}")
            yield NATS.format(series=shown, model=name), *nats(run)
            yield COVERED.format(series=shown, model=name), *covered(run)


def nats(run: Run) -> tuple[float, dict[str, Any]]:
    """-log p of the test split's windows over their steps. The standard error counts windows that do not overlap."""
    model, split = run.model(), reload(run.config["data"]).splits["test"]
    values, _ = log_probs(model, split)
    T = model.inputs["x"].shape[0]
    apart = math.ceil((len(split) + T - 1) / T)
    protocol = {"split": "test", "windows": len(split), "steps": T, "standard_error": float(values.std(ddof=1)) / T / math.sqrt(apart)}
    return -float(values.mean()) / T, protocol | protocol_of(run)


def covered(run: Run) -> tuple[float, dict[str, Any]]:
    """Share of steps, over all channels and horizons, between the quantiles 0.05 and 0.95 of futures that begin within the test split."""
    model, split = run.model(), reload(run.config["data"]).splits["test"]
    x = split.read(range(0, len(split), EVERY))["x"]
    inside = []
    for k, window in enumerate(x):
        past = window[:CONTEXT].expand(FUTURES, -1, -1)
        futures = continued(model, past, HORIZON, context=CONTEXT, generator=generator(("coverage", k)))
        low, high = futures.quantile(torch.tensor([0.05, 0.95]), dim=0)
        inside.append((window[CONTEXT:] >= low) & (window[CONTEXT:] <= high))
    protocol = {"split": "test", "futures": FUTURES, "given": CONTEXT, "horizon": HORIZON, "origins": len(x), "origins_every": EVERY}
    return 100 * torch.stack(inside).double().mean().item(), protocol | protocol_of(run)
