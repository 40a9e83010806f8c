"""The mlp and the conv VAE on the fixed binarisation of MNIST: the bound on log p of its validation split, reported.

The split that is scored also chose the checkpoint, so these numbers are a little better than those of the test split will be.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.rows import Row
from benchmarks.training import bound, trained

MLP_BOUND = "VAE mlp 784-200-200-50, fixed binarised MNIST validation: -log p bound, 1000 samples"
CONV_BOUND = "VAE conv, fixed binarised MNIST validation: -log p bound, 500 samples"
ROWS = [Row(MLP_BOUND, "nats"), Row(CONV_BOUND, "nats")]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    yield MLP_BOUND, *bound(trained("fixed_mlp"), "valid", samples=1000)
    yield CONV_BOUND, *bound(trained("fixed_conv"), "valid", samples=500)
