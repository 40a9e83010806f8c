"""Training examples/s of the mlp VAE at batch 100: ours over pythae's trainer, side by side in one run."""

from __future__ import annotations

import contextlib
import io
import statistics
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from benchmarks import pythae_vae
from benchmarks.protocol import machine
from benchmarks.recipes import DYNAMIC, MLP, Recipe
from benchmarks.rows import Row
from benchmarks.training import built
from pofx.data import load
from pofx.train import Training, train

RATIO = "training examples/s, mlp VAE, batch 100: ours / pythae's trainer"
OURS = "training examples/s, mlp VAE, batch 100: ours"
ROWS = [Row(RATIO, "", (">=", 1.5)), Row(OURS, "examples/s")]
PAIRS, BATCHES = 50, 100


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    """Spans of as many batches each, ours and pythae's in turn, on the same pictures, drawn anew as bits whenever they are read.

    pythae's spans are whole `train_step` calls (an epoch of its trainer) without its evaluation, copies and files; ours are the spans
    between two reports of the engine, with everything that it does there.
    """
    data = load(**DYNAMIC)
    x = data.splits["train"].columns["x"].numbers(torch.arange(100 * BATCHES))
    pairs: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        other = pythae_vae.trainer(x, Path(folder) / "pythae", 100)
        since = 0.0

        def report(row: dict[str, Any]) -> None:
            nonlocal since
            now = time.perf_counter()
            with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
                other.train_step(1)
            if since and "split" not in row:
                pairs.append((now - since, time.perf_counter() - now))
            since = time.perf_counter()

        steps = (PAIRS + 3) * BATCHES
        training = Training(steps=steps, batch_size=100, lr=1e-3, log_every=BATCHES, eval_every=steps)
        train(built(Recipe("vae", MLP, DYNAMIC), data), data, training, Path(folder) / "ours", report=report)
    pairs = pairs[2:]
    protocol = {
        "data": "mnist, dynamic binarisation; pythae is given pictures in memory and draws with torch.bernoulli",
        "pairs": len(pairs),
        "batches in a span": BATCHES,
        "statistic": "median of the pairs' ratios",
        "pythae": version("pythae"),
        "recipe": MLP,
        **machine(),
    }
    examples = 100 * BATCHES
    rate = {name: examples / statistics.median(spans) for name, spans in zip(("ours", "pythae"), zip(*pairs, strict=True), strict=True)}
    yield RATIO, statistics.median(b / a for a, b in pairs), protocol | {"examples/s": rate}
    yield OURS, rate["ours"], protocol
