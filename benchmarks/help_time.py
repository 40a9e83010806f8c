"""Time of `pofx --help`."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.protocol import machine
from benchmarks.rows import Row

HELP = "time of `pofx --help`"
ROWS = [Row(HELP, "s", ("<=", 0.4))]
RUNS = 15


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    command = [sys.executable, "-m", "pofx", "--help"]
    seconds = []
    for _ in range(RUNS):
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - began)
    spread = {"shortest": min(seconds), "longest": max(seconds)}
    yield HELP, statistics.median(seconds), {"command": "python -m pofx --help", "runs": RUNS, "statistic": "median", **spread, **machine()}
