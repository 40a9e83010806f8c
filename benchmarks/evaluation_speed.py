"""Time of the bound on log p, 5000 samples for each of 100 pictures: pythae's `get_nll` over ours, and ours over bare products."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import torch

from benchmarks import pythae_vae
from benchmarks.protocol import machine
from benchmarks.recipes import FIXED, MLP, Recipe
from benchmarks.rows import Row
from benchmarks.training import built
from pofx.data import load

FASTER = "bound on log p, 5000 samples x 100 pictures: time of pythae's get_nll / ours"
FLOOR = "bound on log p, 5000 samples x 100 pictures: time of ours / of the decoder's matrix products alone"
ROWS = [Row(FASTER, "", (">=", 3.0), "4.0 measured elsewhere"), Row(FLOOR, "", ("<=", 1.3))]
PICTURES, SAMPLES, ROUNDS = 100, 5000, 5
CHUNKS = (100, 250, 500, 1000, 2000, 4000, 8000, 16000, 50000)  # rows of one product
BATCHES = (100, 500, 1000, 5000)  # of get_nll; 100 is its default


def seconds(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


@torch.no_grad()
def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    data = load(**FIXED)
    x = data.splits["valid"].read(range(PICTURES))["x"]
    ours: Any = built(Recipe("vae", MLP, FIXED), data).eval()
    theirs: Any = pythae_vae.vae().eval()

    widths = (MLP["latent"], *reversed(MLP["hidden"]), x[0].numel())
    weights = [torch.randn(b, a) for a, b in itertools.pairwise(widths)]

    def products(chunk: int) -> None:
        """Only the decoder's products, from one activation to the next, for all samples of all pictures."""
        inputs = [torch.randn(chunk, width) for width in widths[:-1]]
        outputs = [torch.empty(chunk, width) for width in widths[1:]]
        for _ in range(PICTURES * SAMPLES // chunk):
            for h, w, out in zip(inputs, weights, outputs, strict=True):
                torch.mm(h, w.T, out=out)

    def pythae(batch_size: int) -> None:
        theirs.get_nll(x.view(-1, 1, 28, 28), n_samples=SAMPLES, batch_size=batch_size)

    def bound() -> None:
        ours.log_prob(x, samples=SAMPLES)

    best_chunk = min(CHUNKS, key=lambda chunk: min(seconds(lambda: products(chunk)) for _ in range(3)))
    best_batch = min(BATCHES, key=lambda batch: seconds(lambda: pythae(batch)))
    bound()
    times = [(seconds(bound), seconds(lambda: products(best_chunk)), seconds(lambda: pythae(best_batch))) for _ in range(ROUNDS)]
    protocol = {
        "pictures": PICTURES,
        "samples": SAMPLES,
        "rounds, each in turn": ROUNDS,
        "statistic": "median of the rounds' ratios",
        "median seconds": dict(zip(("ours", "products", "pythae"), map(statistics.median, zip(*times, strict=True)), strict=True)),
        "pythae": {"version": version("pythae"), "batch_size": best_batch, "chosen": f"the fastest of {BATCHES}"},
        "rows of a product": {"used": best_chunk, "chosen": f"the fastest of {CHUNKS}"},
        "network": MLP,
        **machine(),
    }
    yield FASTER, statistics.median(other / own for own, _, other in times), protocol
    yield FLOOR, statistics.median(own / floor for own, floor, _ in times), protocol
