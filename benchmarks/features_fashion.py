"""The stored feature network of Fashion-MNIST, by which samples are measured: a small convolutional classifier, and its accuracy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.features_mnist import accuracy
from benchmarks.rows import Row

ACCURACY = "feature network convnet, Fashion-MNIST test accuracy"
ROWS = [Row(ACCURACY, "%", (">=", 91.0), within=3)]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    yield ACCURACY, *accuracy("features_fashion")
