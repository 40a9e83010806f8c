"""Sampling from PixelRNN: the time of running the whole network for each pixel / of computing only the new pixel.

Both samplers draw the same pictures from the same uniform numbers. The weights are as constructed: time does not depend on them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from typing import Any

import torch

from benchmarks.protocol import machine
from benchmarks.rows import Row
from pofx import models
from pofx.kinds import Binary
from pofx.randomness import generator
from pofx.run import seeded

PICTURES, REPEATS = 64, 3
MODELS = {
    "Diagonal BiLSTM, 1 layer, h=32": ("diagonal_bilstm", {"layers": 1, "hidden": 32}),
    "Row LSTM, 1 layer, h=32": ("row_lstm", {"layers": 1, "hidden": 32}),
}
RATIO = {name: f"sampling {PICTURES} pictures 28x28, {name}: time of naive / cached" for name in MODELS}
CACHED = {name: f"sampling {PICTURES} pictures 28x28, {name}: cached" for name in MODELS}
ROWS = [
    Row(RATIO["Diagonal BiLSTM, 1 layer, h=32"], "", (">=", 20.0)),
    Row(CACHED["Diagonal BiLSTM, 1 layer, h=32"], "s"),
    Row(RATIO["Row LSTM, 1 layer, h=32"], ""),
    Row(CACHED["Row LSTM, 1 layer, h=32"], "s"),
]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    for name, (model_name, arguments) in MODELS.items():
        with seeded(0):
            model = models.find(model_name)(Binary(1, 28, 28), **arguments).eval()

        def sample(sampler: str, model: Any = model) -> tuple[float, torch.Tensor]:
            began = time.perf_counter()
            x = model.sample(PICTURES, generator=generator("sampling"), sampler=sampler)
            return time.perf_counter() - began, x

        sample("cached")
        sample("jacobi")  # warms the whole network up
        cached = [sample("cached") for _ in range(REPEATS)]
        naive_seconds, naive = sample("naive")
        assert all(torch.equal(x, naive) for _, x in cached), "the samplers drew different pictures"
        cached_seconds = statistics.median(seconds for seconds, _ in cached)
        protocol = {
            "model": {"name": model_name, "arguments": arguments},
            "pictures": PICTURES,
            "naive_seconds": naive_seconds,
            "cached_seconds": [seconds for seconds, _ in cached],
            "rule": f"naive once / the median of {REPEATS} cached, after one of each to warm up, in one process",
            **machine(),
        }
        yield RATIO[name], naive_seconds / cached_seconds, protocol
        yield CACHED[name], cached_seconds, protocol
