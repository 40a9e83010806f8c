"""Diagonal BiLSTM on the fixed binarisation of MNIST: exact log p of its validation split.

The split that is scored also chose the checkpoint, so the number is a little better than that of the test split will be.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.rows import Row
from benchmarks.training import exact, trained

NLL = "Diagonal BiLSTM, 1 layer, h=32, batch 16, within 60 minutes of one core, fixed binarised MNIST validation: -log p"
ROWS = [Row(NLL, "nats", ("<=", 89.0), "stretch 86; 80.75 (van den Oord 2016a, 7 layers, test)", within=60)]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    yield NLL, *exact(trained("diagonal_bilstm"))
