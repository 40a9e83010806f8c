"""Training images/s of DCGAN at 64x64, batch 64: the engine's loop over the plainest hand-written one, in turn in one process."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.protocol import machine
from benchmarks.recipes import Recipe
from benchmarks.rows import Row
from benchmarks.training import built
from pofx.data import Data, load
from pofx.train import Training, train

RATIO = "DCGAN, training images/s at 64x64, batch 64: ours / the plainest hand-written loop"
OURS = "DCGAN, training images/s at 64x64, batch 64: ours"
ROWS = [Row(RATIO, "", (">=", 0.97)), Row(OURS, "images/s")]
RECIPE = Recipe("dcgan", {}, {"spec": "emoji/twitter"})
BATCH, SPAN, PAIRS, WARM = 64, 2, 20, 2


def by_hand(data: Data) -> Callable[[int], None]:
    """The same networks, moved as in most published programs: one batch of fakes serves both players, and nothing is checked or kept."""
    dcgan: Any = built(RECIPE, data)
    generator, discriminator = dcgan.generator, dcgan.discriminator
    adam_g, adam_d = (torch.optim.Adam(net.parameters(), lr=2e-4, betas=(0.5, 0.999)) for net in (generator, discriminator))
    x = data.splits["train"].columns["x"].numbers(torch.arange(len(data.splits["train"])))
    cross_entropy, real, fake = nn.BCEWithLogitsLoss(), torch.ones(BATCH, 1), torch.zeros(BATCH, 1)

    def steps(n: int) -> None:
        for rows in torch.randperm(len(x))[: n * BATCH].split(BATCH):
            generated = generator(2 * torch.rand(BATCH, 100) - 1)
            loss = cross_entropy(discriminator(x[rows]), real) + cross_entropy(discriminator(generated.detach()), fake)
            adam_d.zero_grad()
            loss.backward()
            adam_d.step()
            loss = cross_entropy(discriminator(generated), real)
            adam_g.zero_grad()
            loss.backward()
            adam_g.step()

    return steps


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    data = load(**RECIPE.data)
    hand, pairs, since = by_hand(data), list[tuple[float, float]](), 0.0

    def report(row: dict[str, Any]) -> None:
        nonlocal since
        now = time.perf_counter()
        hand(SPAN)
        after = time.perf_counter()
        if since and not {"split", "warning"} & row.keys():
            pairs.append((now - since, after - now))
        since = time.perf_counter()

    steps = (PAIRS + WARM + 1) * SPAN
    training = Training(steps=steps, batch_size=BATCH, log_every=SPAN, eval_every=steps, checkpoint_every=steps)
    with tempfile.TemporaryDirectory() as folder:
        train(built(RECIPE, data), data, training, Path(folder) / "run", report=report)
    pairs = pairs[WARM : WARM + PAIRS]
    rate = {
        name: BATCH * SPAN / statistics.median(spans) for name, spans in zip(("ours", "by hand"), zip(*pairs, strict=True), strict=True)
    }
    protocol = {
        "data": data.record,
        "recipe": {"model": RECIPE.model, **RECIPE.arguments},
        "precision": "fp32",
        "pairs": len(pairs),
        "steps in a span": SPAN,
        "statistic": "median of the pairs' ratios",
        "by hand": "torch.optim.Adam, BCEWithLogitsLoss, the discriminator's parameters always take gradients, fakes are made once a step",
        "left out": "checks of samples and states that are saved: both come once, after the last pair",
        "images/s": rate,
        **machine(),
    }
    yield RATIO, statistics.median(hand / ours for ours, hand in pairs), protocol
    yield OURS, rate["ours"], protocol
