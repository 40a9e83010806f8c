"""VAE with convolutions on dynamically binarised MNIST, trained within 45 minutes on 2 cores: the bound on log p with 1000 samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.rows import Row
from benchmarks.training import bound, trained

BOUND = "VAE conv, 45 minutes, dynamic MNIST test: -log p bound, 1000 samples"
ROWS = [Row(BOUND, "nats", ("<=", 85.5), "stretch 84.5; 86.77 ELBO (pytorch-generative, 457 epochs); 87.3 after 5 minutes")]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    yield BOUND, *bound(trained("vae_conv"), "test", samples=1000)
