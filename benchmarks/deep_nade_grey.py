"""Order-agnostic DeepNADE on MNIST's 256 grey levels: exact bits per dimension in one order, reported."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from benchmarks.rows import Row
from benchmarks.training import exact, trained

FEW = 2000
BITS = f"DeepNADE 2x500, one order, the first {FEW} rows of MNIST validation, 256 grey levels: bits per dimension"
ROWS = [Row(BITS, "bits")]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    nats, protocol = exact(run := trained("deep_nade_grey"), rows=FEW)
    bits = math.log(2) * run.model().inputs["x"].size
    yield BITS, nats / bits, protocol | {"standard_error": protocol["standard_error"] / bits}
