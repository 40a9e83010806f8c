"""The stored feature network of MNIST, by which samples are measured: a small convolutional classifier, and its accuracy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.rows import Row
from benchmarks.training import processor_seconds, protocol_of, trained
from pofx.data import reload
from pofx.evaluate.reconstruction import error_rate

ACCURACY = "feature network convnet, MNIST test accuracy"
ROWS = [Row(ACCURACY, "%", (">=", 99.0), within=3)]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    yield ACCURACY, *accuracy("features_mnist")


def accuracy(name: str) -> tuple[float, dict[str, Any]]:
    """Per cent of the test split's labels that recipe `name` tells, and how it was trained."""
    run = trained(name)
    score = error_rate(run.model(), reload(run.config["data"]).splits["test"])
    assert score.standard_error is not None
    return 100 * (1 - score.value), {
        "split": "test",
        "rows": score.protocol["rows"],
        "standard_error": 100 * score.standard_error,
        "training_processor_seconds": processor_seconds(run),
        **protocol_of(run),
    }
