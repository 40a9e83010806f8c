"""Time of help: `pofx --help`, which loads no torch, and help that depends on a model or a run, beside an import of torch."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.protocol import machine
from benchmarks.rows import Row

RUN = str(Path(__file__).parent / "runs" / "vae_mlp")
HELP = "time of `pofx --help`"
BEYOND = {  # what is timed -> its words; less an import of torch, timed in turns with it
    "time of `pofx train vae --help` beyond an import of torch": ["train", "vae", "--help"],
    "time of `pofx sample RUN --help` beyond an import of torch": ["sample", RUN, "--help"],
}
ROWS = [Row(HELP, "s", ("<=", 0.15)), *(Row(what, "s", ("<=", 0.4)) for what in BEYOND)]
RUNS = 15


def seconds(*arguments: str) -> float:
    """How long Python takes with these arguments."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    found = [seconds("-m", "pofx", "--help") for _ in range(RUNS)]
    spread = {"shortest": min(found), "longest": max(found)}
    yield HELP, statistics.median(found), {"command": "python -m pofx --help", "runs": RUNS, "statistic": "median", **spread, **machine()}
    for what, words in BEYOND.items():
        found = [seconds("-m", "pofx", *words) - seconds("-c", "import torch") for _ in range(RUNS)]
        spread = {"shortest": min(found), "longest": max(found)}
        told = " ".join("RUN" if word == RUN else word for word in words)
        yield (
            what,
            statistics.median(found),
            {"command": f"python -m pofx {told}", "runs": RUNS, "statistic": "median", **spread, **machine()},
        )
