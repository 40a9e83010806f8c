"""VAE with convolutions on dynamically binarised MNIST, a schedule that fits 45 minutes on 2 cores: the bound on log p with 500 samples.

The schedule's time is stated as processor time too, which does not depend on what else the machine does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.rows import Row
from benchmarks.training import bound, processor_seconds, trained

BOUND = "VAE conv, within 45 minutes, dynamic MNIST test: -log p bound, 500 samples"
ROWS = [Row(BOUND, "nats", ("<=", 85.5), "stretch 84.5; 86.77 ELBO (pytorch-generative, 457 epochs); 87.3 after 5 minutes")]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    run = trained("vae_conv")
    value, protocol = bound(run, "test", samples=500)
    yield BOUND, value, protocol | {"training_processor_seconds": processor_seconds(run)}
