"""The Parzen window itself: MNIST's test pictures under windows around 10,000 real training pictures, pixels in [0, 1].

The pictures are the first 10,000 rows of the training split; the bandwidth is the best one on the validation split (the last 10,000 of the
60,000 pictures that MNIST calls training). A generator that drew real digits would score no more: what the measure cannot see.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.protocol import machine
from benchmarks.rows import Row
from pofx.data import load
from pofx.evaluate.parzen import parzen_score

SAMPLES = 10_000
REFERENCE = 242.7
VALUE = "Parzen-window log-likelihood, MNIST test, of 10,000 real training pictures"
DISTANCE = f"the same: distance from {REFERENCE}"
ROWS = [
    Row(VALUE, "nats", None, f"{REFERENCE} +- 2, measured twice elsewhere; a GAN 225 +- 2 (Goodfellow et al. 2014)"),
    Row(DISTANCE, "nats", ("<=", 2.0), "so that the estimator is the one that is quoted"),
]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    data = load("mnist")
    train, valid, test = (data.splits[name] for name in ("train", "valid", "test"))
    score = parzen_score(*(split.read(np.arange(rows))["x"] for split, rows in ((train, SAMPLES), (valid, len(valid)), (test, len(test)))))
    about = {"data": data.record, "score": score.what, "samples are": f"the first {SAMPLES} of the training split", "split": "test"}
    protocol = about | score.protocol | {"standard_error": score.standard_error, "note": score.note} | machine()
    yield VALUE, score.value, protocol
    yield DISTANCE, abs(score.value - REFERENCE), protocol
