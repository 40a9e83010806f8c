"""Sampling text from a Transformer: the time of running the whole network for each token / of computing only the new token from a cache.

Both draw the same tokens from the same uniform numbers. The weights are as constructed: time does not depend on them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from benchmarks.protocol import machine
from benchmarks.rows import Row
from pofx import models
from pofx.kinds import Tokens
from pofx.randomness import generator
from pofx.run import seeded

TOKENS, REPEATS = 255, 3
KIND = Tokens(vocabulary=256, length=256, ends=False)
ARGUMENTS: dict[str, Any] = {"layers": 6, "width": 256, "heads": 8}
RATIO = f"{TOKENS} tokens from a Transformer, 6 layers, 256 wide, 1 at once: time without cache / with"
CACHED = "the same, 1 at once: with cache"
ROWS = [Row(RATIO, "", (">=", 5.0), "6.4 measured elsewhere"), Row(CACHED, "tokens/s")]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    with seeded(0):
        model: Any = models.find("transformer_lm")(KIND, **ARGUMENTS).eval()

    def sample(sampler: str) -> tuple[float, Tensor]:
        began = time.perf_counter()
        x_BL = model.sample(1, length=TOKENS, generator=generator("decoding"), sampler=sampler)
        return time.perf_counter() - began, x_BL

    sample("cached")  # warms up
    turns = [(sample("cached"), sample("naive")) for _ in range(REPEATS)]
    assert all(torch.equal(cached[1], naive[1]) for cached, naive in turns), "the samplers drew different tokens"
    seconds = {"cached": [cached[0] for cached, _ in turns], "naive": [naive[0] for _, naive in turns]}
    protocol = {
        "model": {"name": "transformer_lm", "arguments": ARGUMENTS, "kind": KIND.to_json()},
        "batch": 1,
        "seconds": seconds,
        "rule": f"the medians of {REPEATS} turns each, after one to warm up, in one process",
        **machine(),
    }
    yield RATIO, statistics.median(seconds["naive"]) / statistics.median(seconds["cached"]), protocol
    yield CACHED, TOKENS / statistics.median(seconds["cached"]), protocol
