"""Order-agnostic DeepNADE on the fixed binarisation of MNIST: exact log p in one order, and in a mixture of 128 orders.

The split that is scored also chose the checkpoint, so these numbers are a little better than those of the test split will be.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.rows import Row
from benchmarks.training import exact, protocol_of, trained
from pofx.data import reload
from pofx.evaluate import log_probs

ORDERS, FEW = 128, 1000  # orders of the mixture, and how many rows it scores
ONE = "DeepNADE 2x500, one order, within 60 minutes of one core, fixed binarised MNIST validation: -log p"
GAIN = f"DeepNADE 2x500: gain of {ORDERS} orders over one, the first {FEW} rows of validation"
MIXTURE = f"DeepNADE 2x500, {ORDERS} orders, the first {FEW} rows of fixed binarised MNIST validation: -log p"
ROWS = [
    Row(ONE, "nats", ("<=", 92.5), "89.17 (Uria et al. 2016, test)", within=60),
    Row(GAIN, "nats", (">=", 3.0), "89.17 - 85.10 = 4.07 (Uria et al. 2016, test)"),
    Row(MIXTURE, "nats", None, "85.10 (Uria et al. 2016, test)"),
]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    run = trained("deep_nade")
    yield ONE, *exact(run)
    model, rows, log_p = run.model(), reload(run.config["data"]).splits["valid"], dict[int, np.ndarray]()
    began = time.monotonic()
    for orders in (1, ORDERS):  # the first of the many is the one
        log_p[orders], options = log_probs(model, rows, rows=FEW, unfinished=run.path / "state", orders=orders)
    seconds = round(time.monotonic() - began, 1)
    protocol = {"split": "valid", "rows": FEW, "options": options, "evaluation_seconds": seconds, **protocol_of(run)}
    for what, values in ((GAIN, log_p[ORDERS] - log_p[1]), (MIXTURE, -log_p[ORDERS])):
        yield what, float(values.mean()), protocol | {"standard_error": float(values.std(ddof=1) / len(values) ** 0.5)}
