"""Order-agnostic ConvNADE on the fixed binarisation of MNIST: exact log p in one order, reported."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.rows import Row
from benchmarks.training import exact, trained

FEW = 500
NLL = f"ConvNADE, 32 features, 4 blocks, one order, the first {FEW} rows of fixed binarised MNIST validation: -log p"
ROWS = [Row(NLL, "nats")]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    yield NLL, *exact(trained("conv_nade"), rows=FEW)
