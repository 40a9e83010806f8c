"""GAN on 8 modes in a ring: how many it finds, and how many of its samples lie within 3 standard deviations of one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.rows import Row
from benchmarks.training import processor_seconds, protocol_of, trained
from pofx.capabilities import Samples, require
from pofx.data.sources.synthetic import KNOWN
from pofx.metrics.modes import modes_covered
from pofx.randomness import generator

SAMPLES = 2500
MODES = "GAN with packing and r1, ring of 8, 2,500 samples: modes, fewest of 3 seeds"
QUALITY = "GAN with packing and r1, ring of 8: samples within 3 sd, least of 3 seeds"
PLAIN = "GAN alone, ring of 8: modes, mean of 3 seeds"
PLAIN_QUALITY = "GAN alone, ring of 8: samples within 3 sd, mean of 3 seeds"
ROWS = [
    Row(MODES, "modes", (">=", 8), "PacGAN2 7.9 (Lin 2018, mean of 10)", within=2.5),
    Row(QUALITY, "%", (">=", 95), "PacGAN2 95.6 (Lin 2018, mean of 10)"),
    Row(PLAIN, "modes", None, "6.3 (Lin 2018, mean of 10)", within=2.5),
    Row(PLAIN_QUALITY, "%", None, "98.2 (Lin 2018, mean of 10)"),
]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    return compared("ring", ROWS)


def compared(data: str, rows: list[Row]) -> Iterator[tuple[str, float, dict[str, Any]]]:
    """The rows' numbers in order: modes and quality with packing and r1, at the least, and of the plain GAN, in the mean."""
    remedied, remedied_quality, plain, plain_quality = (row.what for row in rows)
    modes, quality, protocol = covered(data, data)
    yield remedied, min(modes), protocol
    yield remedied_quality, min(quality), protocol
    modes, quality, protocol = covered(data, f"{data}_plain")
    yield plain, sum(modes) / len(modes), protocol
    yield plain_quality, sum(quality) / len(quality), protocol


def covered(data: str, recipe: str) -> tuple[list[int], list[float], dict[str, Any]]:
    """Modes and per cent of high quality of the recipe's runs, one a seed, and how they came about."""
    modes, quality = KNOWN[data], list[float]()
    found, how = list[int](), list[dict[str, Any]]()
    for seed in range(3):
        run = trained(f"{recipe}_{seed}")
        x = require(run.model(), Samples).sample(SAMPLES, generator=generator((recipe, seed, "samples")))
        result = modes_covered(x, np.array(modes.centres), modes.sd)
        found.append(result.found)
        quality.append(100 * result.high_quality)
        how.append(protocol_of(run))
    training = {name: value for name, value in how[0]["training"].items() if name != "seed"}  # the value is of all runs
    return (
        found,
        quality,
        {
            "samples": SAMPLES,
            "high quality": "within 3 sd of the nearest centre",
            "sd": modes.sd,
            "modes of each seed": found,
            "% of high quality of each seed": [round(share, 2) for share in quality],
            "training_processor_seconds": processor_seconds(run),
            **how[0],
            "training": training,
            "training seeds": [one["training"]["seed"] for one in how],
            "training_seconds": round(sum(one["training_seconds"] for one in how), 1),  # of all seeds
        },
    )
