"""Digits spelled: the English word of one, rows of them in Hangul, and three ways to train an encoder and a decoder at equal budget."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from benchmarks.rows import Row
from benchmarks.training import processor_seconds, protocol_of, trained
from pofx.data import reload
from pofx.evaluate.text import translation_scores
from pofx.run import Run

SEEDS = (0,)
WAYS = ("apart", "apart_then_together", "together")
GOAL = "apart"  # the way that is to reach the goal: the code tells the encoder at once what to see
TASKS = {
    "english": ("English word of a digit, MNIST test", 99.0, "a classifier's own accuracy, 99.3"),
    "hangul": ("Hangul reading of a row of 2 to 4 MNIST test digits", 97.0, "(digit accuracy)^(digits)"),
}
ROW = {
    (task, way): Row(
        f"{TASKS[task][0]}, trained {way.replace('_', ' ')}: exact match",
        "%",
        (">=", TASKS[task][1]) if way == GOAL else None,
        TASKS[task][2] if way == GOAL else "",
        within=60,
    )
    for task, way in sorted(((task, way) for task in TASKS for way in WAYS), key=lambda pair: pair[1] != GOAL)
}
ROWS = list(ROW.values())


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    for (task, way), row in ROW.items():
        found = {seed: exact_match(trained(f"reading_{task}_{way}_{seed}")) for seed in SEEDS}
        median = sorted(SEEDS, key=lambda seed: found[seed][0])[len(SEEDS) // 2]
        value, protocol = found[median]
        yield row.what, value, protocol | {"seeds": {seed: value for seed, (value, _) in found.items()}}


def exact_match(run: Run, split: str = "test") -> tuple[float, dict[str, Any]]:
    """Per cent of a split's pictures whose greedy reading is the true one to its last letter, and how it came about."""
    began = time.monotonic()
    score, *_ = translation_scores(run.model(), reload(run.config["data"]), split=split, beam=1)
    assert score.standard_error is not None
    print(f"{run.path.name}: {100 * score.value:.2f} % of {score.protocol['rows']} rows of {split}", flush=True)
    return 100 * score.value, {
        "score": score.what,
        "split": split,
        "rows": score.protocol["rows"],
        "options": score.protocol["sampling"],
        "standard_error": 100 * score.standard_error,
        "evaluation_seconds": round(time.monotonic() - began, 1),
        "training_processor_seconds": processor_seconds(run),
        **protocol_of(run),
    }
