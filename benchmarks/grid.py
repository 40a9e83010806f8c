"""GAN on 25 modes in a grid: how many it finds, and how many of its samples lie within 3 standard deviations of one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.ring import compared
from benchmarks.rows import Row

MODES = "GAN with packing and r1, grid of 25, 2,500 samples: modes, fewest of 3 seeds"
QUALITY = "GAN with packing and r1, grid of 25: samples within 3 sd, least of 3 seeds"
PLAIN = "GAN alone, grid of 25: modes, mean of 3 seeds"
PLAIN_QUALITY = "GAN alone, grid of 25: samples within 3 sd, mean of 3 seeds"
ROWS = [
    Row(MODES, "modes", (">=", 24), "PacGAN4 24.8 (Lin 2018, mean of 10)", within=2.5),
    Row(QUALITY, "%", None, "PacGAN4 93.6 (Lin 2018, mean of 10)"),
    Row(PLAIN, "modes", None, "17.3 (Lin 2018, mean of 10)", within=2.5),
    Row(PLAIN_QUALITY, "%", None, "94.8 (Lin 2018, mean of 10)"),
]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    return compared("grid", ROWS)
