"""Stacked denoising autoencoder, 3 layers of 1000 pretrained one after another, then fine-tuned: error on the MNIST test split."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.rows import Row
from benchmarks.training import protocol_of, trained
from pofx.data import load
from pofx.evaluate.reconstruction import error_rate

ERROR = "stacked denoising 3x1000, pretrained and fine-tuned, MNIST test error"
ROWS = [Row(ERROR, "%", ("<=", 1.5), "1.28 +- .22 (Vincent 2010)")]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    run = trained("stacked_denoising")
    score = error_rate(run.model(), load("mnist").splits["test"])
    assert score.standard_error is not None
    yield ERROR, 100 * score.value, {"split": "test", "rows": 10000, "standard_error": 100 * score.standard_error, **protocol_of(run)}
