"""Precision, recall, density and coverage where both sets are one distribution, beside what the reference program published."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.protocol import machine
from benchmarks.rows import Row
from pofx.metrics.manifold import Manifold, prdc

SAMPLES, DIMENSIONS, K, DRAWS = 10_000, 1000, 5, 10
PUBLISHED = Manifold(0.4772, 0.4705, 1.0555, 0.9735)  # the README of prdc (Naeem et al., 2020): one draw, of no seed, "may fluctuate"
SETS = f"of two sets of {SAMPLES:,} from N(0, I_{DIMENSIONS}), k = {K}"


def mean(measure: str) -> str:
    return f"{measure} {SETS}: mean of {DRAWS} draws"


def apart(measure: str) -> str:
    return f"{measure} {SETS}: from the published run to that mean, in standard deviations of a draw"


SECONDS = f"all four {SETS}: processor time"
ROWS = [
    *(
        Row(mean(name), "", reference=f"{value} (prdc, one draw of no seed)" + ("; exactly 1 is expected" if name == "density" else ""))
        for name, value in PUBLISHED._asdict().items()
    ),
    *(Row(apart(name), "", ("<=", 2.0)) for name in Manifold._fields),
    Row(SECONDS, "s", ("<=", 120.0)),
]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    found, spent = [], []
    for seed in range(DRAWS):
        source = np.random.default_rng(seed)
        real, fake = source.normal(size=(2, SAMPLES, DIMENSIONS))
        began = time.process_time()
        found.append(prdc(real, fake, k=K))
        spent.append(time.process_time() - began)
        print(seed, found[-1], flush=True)
    values = np.array(found)
    middle, spread = values.mean(0), values.std(0, ddof=1)
    protocol = {"samples": SAMPLES, "dimensions": DIMENSIONS, "k": K, "seeds": list(range(DRAWS)), **machine()}
    # Both sets are exchangeable, so a sample is as likely as any other to be among the k nearest of a real one.
    missed = np.prod([(SAMPLES - 1 - j) / (2 * SAMPLES - 1 - j) for j in range(K)])
    exact = {"density": 1.0, "coverage": float(1 - missed)}
    for i, name in enumerate(Manifold._fields):
        expected = {"expected": exact[name]} if name in exact else {}
        error = {"standard_error": float(spread[i] / np.sqrt(DRAWS)), "standard_deviation": float(spread[i])}
        yield mean(name), float(middle[i]), {"draws": values[:, i].tolist(), **error, **expected, **protocol}
    for i, name in enumerate(Manifold._fields):
        expected = {"expected": exact[name]} if name in exact else {}
        published = {"published": PUBLISHED[i], "published is": "one draw of no seed", **expected}
        yield apart(name), float(abs(PUBLISHED[i] - middle[i]) / spread[i]), {**published, **protocol}
    yield SECONDS, float(np.median(spent)), protocol
