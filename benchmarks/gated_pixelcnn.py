"""Gated PixelCNN on the fixed binarisation of MNIST: exact log p of its validation split, which also chose the checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.rows import Row
from benchmarks.training import exact, trained

NLL = "Gated PixelCNN, 8 layers, 16 features, batch 16, fixed binarised MNIST validation: -log p"
ROWS = [Row(NLL, "nats")]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    yield NLL, *exact(trained("gated_pixelcnn"))
