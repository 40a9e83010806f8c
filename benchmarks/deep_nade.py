"""Order-agnostic DeepNADE: exact log p on the fixed binarisation of MNIST in one order and in a mixture of 128; on MNIST's 256 grey levels.

The split that is scored also chose the checkpoint, so these numbers are a little better than those of the test split will be.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.rows import Row
from benchmarks.training import exact, protocol_of, trained
from pofx.data import reload
from pofx.evaluate import log_probs
from pofx.run import Run

ORDERS, MANY, FEW = 128, 1000, 2000  # orders of the mixture; rows that it scores; rows of the grey levels
ONE = "DeepNADE 2x500, one order, within 60 minutes, fixed binarised MNIST validation: -log p"
GAIN = f"DeepNADE 2x500: gain of {ORDERS} orders over one, the same {MANY} rows of validation"
MIXTURE = f"DeepNADE 2x500, {ORDERS} orders, first {MANY} rows of fixed binarised MNIST validation: -log p"
GREY = f"DeepNADE 2x500, one order, first {FEW} rows of MNIST validation, 256 levels: bits per dimension"
ROWS = [
    Row(ONE, "nats", ("<=", 92.5), "89.17 (Uria et al. 2016, test)"),
    Row(GAIN, "nats", (">=", 3.0), "89.17 - 85.10 = 4.07 (Uria et al. 2016, test)"),
    Row(MIXTURE, "nats", None, "85.10 (Uria et al. 2016, test)"),
    Row(GREY, "bits per dimension"),
]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    run = trained("deep_nade")
    yield ONE, *exact(run)
    one, _ = scored(run, MANY, orders=1)
    mixture, protocol = scored(run, MANY, orders=ORDERS)
    yield GAIN, float((mixture - one).mean()), protocol | {"standard_error": _error(mixture - one)}
    yield MIXTURE, -float(mixture.mean()), protocol | {"standard_error": _error(mixture)}
    grey, protocol = scored(grey_run := trained("deep_nade_grey"), FEW, orders=1)
    bits = -grey / (grey_run.model().inputs["x"].size * math.log(2))
    yield GREY, float(bits.mean()), protocol | {"standard_error": _error(bits)}


def scored(run: Run, rows: int, orders: int) -> tuple[np.ndarray, dict[str, Any]]:
    """log p of the first `rows` of the validation split in nats, (rows,), and how it was made."""
    began = time.monotonic()
    log_p, options = log_probs(
        run.model(),
        reload(run.config["data"]).splits["valid"],
        rows=rows,
        unfinished=run.path / "state",
        progress=_counted,
        **{"orders": orders},
    )
    seconds = round(time.monotonic() - began, 1)
    return log_p, {"split": "valid", "rows": rows, "options": options, "evaluation_seconds": seconds, **protocol_of(run)}


def _error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / len(values) ** 0.5)


def _counted(done: int, rows: int) -> None:
    print(f"{done} of {rows} rows", flush=True)
