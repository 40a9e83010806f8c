"""Stacked digits, three to a picture, 1000 modes: how many a DCGAN reaches within a budget, alone and with packing."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

from benchmarks.protocol import machine
from benchmarks.rows import Row
from benchmarks.training import processor_seconds, protocol_of, trained
from pofx.evaluate.features import Features, by_channel, network
from pofx.evaluate.modes import Coverage, class_coverage
from pofx.evaluate.samples import draw
from pofx.run import Run

PLAIN = "stacked digits, DCGAN: modes of 1000 in 26k samples, median of 3 seeds"
PLAIN_KL = "stacked digits, DCGAN: KL to uniform, median of 3 seeds"
PACKED = "stacked digits, DCGAN with packing 2: modes of 1000 in 26k samples, median of 3 seeds"
PACKED_KL = "stacked digits, DCGAN with packing 2: KL to uniform, median of 3 seeds"
TIMES = "stacked digits: modes with packing 2 / without, of the medians"
ROWS = [
    Row(PLAIN, "modes", None, "99 (100k steps, Lin et al., 2018)", within=4),
    Row(PLAIN_KL, "nats", None, "3.40 (100k steps, Lin et al., 2018)"),
    Row(PACKED, "modes", None, "1000 (100k steps, Lin et al., 2018)", within=4),
    Row(PACKED_KL, "nats", None, "0.06 (100k steps, Lin et al., 2018)"),
    Row(TIMES, "", (">=", 3.0)),
]
SAMPLES = 26_000


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    features = by_channel(network(Run("benchmarks/runs/features_mnist").model()), 3)
    medians = []
    for recipe, modes, kl in (("stacked", PLAIN, PLAIN_KL), ("stacked_packing", PACKED, PACKED_KL)):
        runs = [trained(f"{recipe}_{seed}") for seed in range(3)]
        found = [covered(run, features) for run in runs]
        middle = sorted(range(3), key=lambda i: found[i].found)[1]
        how = {
            "classifier of each channel": features.record(),
            "samples": SAMPLES,
            "sampling seed": 0,
            "of the seeds": [{"modes": f.found, "KL": f.kl} for f in found],
            "training_processor_seconds": processor_seconds(runs[middle]),
            **protocol_of(runs[middle]),
        }
        medians.append(statistics.median(f.found for f in found))
        yield modes, medians[-1], how
        yield kl, statistics.median(f.kl for f in found), how
    yield TIMES, medians[1] / medians[0], {"quotient of": [PACKED, PLAIN], **machine()}


def covered(run: Run, features: Features, device: str = "cpu") -> Coverage:
    """The modes that the run's samples reach, by the classifier."""
    return class_coverage(features.classes_of(draw(run.model().to(device), SAMPLES, seed=0)), features.classes)
