"""Digits read aloud: the English word of one, rows of them in Hangul, and three ways to train an encoder and a decoder at equal budget."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import torch

from benchmarks.rows import Row
from benchmarks.training import processor_seconds, protocol_of, trained
from pofx.data import reload
from pofx.run import Run

SEEDS = (0, 1, 2)
WAYS = ("together", "apart", "apart_then_together")
TASKS = {"english": "English word of a digit", "hangul": "Hangul reading of a row of 2 to 4 digits"}
ROW = {
    "english": Row("English word of a digit, MNIST test: exact match", "%", (">=", 99.0), "a classifier's own accuracy, 99.3", within=60),
    "hangul": Row(
        "Hangul reading of rows of 2 to 4 MNIST test digits: exact match", "%", (">=", 97.0), "(digit accuracy)^(digits)", within=60
    ),
}
COMPARED = {
    (task, way): Row(
        f"{TASKS[task]}, through a code fixed by hand, trained {way.replace('_', ' ')}: exact match"
        + (", median of three seeds" if task == "english" else ""),
        "%",
    )
    for task in TASKS
    for way in WAYS
}
ROWS = [*ROW.values(), *COMPARED.values()]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    for task, row in ROW.items():
        yield row.what, *exact_match(trained(f"reading_{task}"))
    for (task, way), row in COMPARED.items():
        found = {seed: exact_match(trained(f"reading_{task}_{way}_{seed}")) for seed in (SEEDS if task == "english" else SEEDS[:1])}
        median = sorted(found, key=lambda seed: found[seed][0])[len(found) // 2]
        value, protocol = found[median]
        yield row.what, value, protocol | {"seeds": {seed: value for seed, (value, _) in found.items()}}


@torch.no_grad()
def exact_match(run: Run, split: str = "test", size: int = 500) -> tuple[float, dict[str, Any]]:
    """Per cent of a split's pictures whose greedy reading is the true one to its last token, and how it came about."""
    model, rows = run.model(), reload(run.config["data"]).splits[split]
    began, right = time.monotonic(), 0
    for start in range(0, len(rows), size):
        batch = rows.read(range(start, min(start + size, len(rows))))
        reading = model.translate(batch["source"], beam=1)
        width = max(reading.shape[1], batch["x"].shape[1])
        reading, x = (torch.nn.functional.pad(text, (0, width - text.shape[1])) for text in (reading, batch["x"]))
        right += int((reading == x).all(1).sum())
    share = right / len(rows)
    print(f"{run.path.name}: {100 * share:.2f} % of {len(rows)} rows of {split}", flush=True)
    return 100 * share, {
        "score": "exact match of the whole text",
        "split": split,
        "rows": len(rows),
        "decoding": "greedy",
        "standard_error": 100 * math.sqrt(share * (1 - share) / len(rows)),
        "evaluation_seconds": round(time.monotonic() - began, 1),
        "training_processor_seconds": processor_seconds(run),
        **protocol_of(run),
    }
