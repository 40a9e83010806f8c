"""NADE with 500 hidden units on the fixed binarisation of MNIST: exact -log p of its validation split.

The split that is scored also chose the checkpoint, so the number is a little better than that of the test split will be.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.rows import Row
from benchmarks.training import exact, trained

NLL = "NADE H=500, within 30 minutes of one core, fixed binarised MNIST validation: -log p"
ROWS = [Row(NLL, "nats", ("<=", 89.1), "stretch 88.0; 88.33 (Uria 2016, test); 89.25 / 88.41 after 6 minutes", within=30)]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    yield NLL, *exact(trained("nade"))
