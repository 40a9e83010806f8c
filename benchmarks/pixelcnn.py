"""PixelCNN on the fixed binarisation of MNIST: exact log p of its validation split.

The split that is scored also chose the checkpoint, so the number is a little better than that of the test split will be.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.rows import Row
from benchmarks.training import exact, trained

NLL = "PixelCNN, 7 blocks, h=16, SiLU, biases of places, batch 16, within 60 minutes of one core, fixed binarised MNIST validation: -log p"
ROWS = [Row(NLL, "nats", ("<=", 86.5), "stretch 84; 81.30 (van den Oord 2016a, 15 blocks, test)", within=60)]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    yield NLL, *exact(trained("pixelcnn"))
