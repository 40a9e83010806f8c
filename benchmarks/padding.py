"""How much of the batches of Multi30k is padding, where batches are of captions about as long."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.protocol import machine
from benchmarks.recipes import RECIPES
from benchmarks.rows import Row
from pofx.data import load
from pofx.kinds import PAD

SHARE = "padding in the batches of an epoch of Multi30k, German to English, both sides"
ROWS = [Row(SHARE, "%", ("<=", 5.0), "batches of any captions: about half")]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    recipe = RECIPES["multi30k_de_en_transformer"]
    data, size = load(**recipe.data), recipe.training["batch_size"]
    split, pads, total = data.splits["train"], 0, 0
    batches = -(-len(split) // size)
    for number in range(batches):
        batch = split.batch(number, size, seed=recipe.training["seed"])
        for tokens_BL in (batch["x"], batch["source"]):
            pads, total = pads + int((tokens_BL == PAD).sum()), total + tokens_BL.numel()
    yield SHARE, 100 * pads / total, {"data": data.record, "batch_size": size, "batches": batches, "tokens": total, **machine()}
