"""VAE 784-200-200-50 on dynamically binarised MNIST: the importance-weighted bound on log p with 5000 samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.rows import Row
from benchmarks.training import bound, trained

BOUND = "VAE mlp 784-200-200-50, dynamic MNIST test: -log p bound, 5000 samples"
ROWS = [Row(BOUND, "nats", ("<=", 89.5), "86.76 (Burda 2016, 3280 epochs); 89.78 pythae; 90.8 at 100 epochs")]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    yield BOUND, *bound(trained("vae_mlp"), "test", samples=5000)
