"""Stacked digits, three to a picture, 1000 modes: how many a DCGAN reaches within a budget, alone and with packing."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

from benchmarks.protocol import machine
from benchmarks.rows import Row
from benchmarks.training import middle, processor_seconds, protocol_of, trained
from pofx.evaluate.features import Features, by_channel, network
from pofx.inference.sampling import draw
from pofx.metrics.modes import Coverage, class_coverage
from pofx.run import Run

SAMPLES = 26_000
BUDGETS = {"": "600 steps", "_longer": "1200 steps"}  # recipe's ending -> how long
REMEDIES = {"": "DCGAN", "_packing": "DCGAN with packing 2"}
MODES = {
    (remedy, budget): f"stacked digits, {who}, {steps}: modes of 1000 in 26k samples, median of 3 seeds"
    for budget, steps in BUDGETS.items()
    for remedy, who in REMEDIES.items()
}
KL = {case: what.replace("modes of 1000 in 26k samples", "KL to uniform") for case, what in MODES.items()}
TIMES = "stacked digits, 600 steps: modes with packing 2 / without, of the medians"
PAPER = {"": ("99", "3.40"), "_packing": ("1000", "0.06")}
ROWS = [
    *(
        row
        for case in MODES
        for row in (
            Row(MODES[case], "modes", None, f"{PAPER[case[0]][0]} (100k steps, width 64, Lin et al., 2018)", within=4),
            Row(KL[case], "nats", None, f"{PAPER[case[0]][1]} (likewise)", within=4),
        )
    ),
    Row(TIMES, "", (">=", 3.0)),
]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    features = by_channel(network(Run("benchmarks/runs/features_mnist").model()), 3)
    medians = {}
    for case in MODES:
        remedy, budget = case
        runs = [trained(f"stacked{remedy}{budget}_{seed}") for seed in range(3)]
        found = [covered(run, features) for run in runs]
        median = runs[middle({seed: coverage.found for seed, coverage in enumerate(found)})]
        how = {
            "classifier of each channel": features.record(),
            "samples": SAMPLES,
            "sampling seed": 0,
            "of the seeds": [{"modes": coverage.found, "KL": coverage.kl} for coverage in found],
            "training_processor_seconds": processor_seconds(median),
            **protocol_of(median),
        }
        medians[case] = statistics.median(coverage.found for coverage in found)
        yield MODES[case], medians[case], how
        yield KL[case], statistics.median(coverage.kl for coverage in found), how
    yield TIMES, medians["_packing", ""] / medians["", ""], {"quotient of": [MODES["_packing", ""], MODES["", ""]], **machine()}


def covered(run: Run, features: Features, device: str = "cpu") -> Coverage:
    """The modes that the run's samples reach, by the classifier."""
    return class_coverage(features.classes_of(draw(run.model().to(device), SAMPLES, seed=0)), features.classes)
