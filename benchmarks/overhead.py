"""What the engine costs over a hand-written loop: the mlp VAE at batch 100, and two players that take about 1 ms a step.

The two are timed in turn, in spans of the engine's default 20 steps between two rows of metrics. The hand-written loop trains the same
model with the same loss and nothing around it: no numbers kept, no check that they are finite, noise from the global generator.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.protocol import machine
from benchmarks.recipes import DYNAMIC, MLP, Recipe
from benchmarks.rows import Row
from benchmarks.training import built
from pofx.data import Column, Data, Split, load
from pofx.kinds import Vector
from pofx.model import Model
from pofx.plan import Adam, Batch, Part, Player, Stage
from pofx.randomness import Noise
from pofx.train import Training, train

ONE = "engine over a hand-written loop: mlp VAE, batch 100"
TWO = "engine over a hand-written loop: two players, a step of about 1 ms"
ROWS = [
    Row(ONE, "%", ("<=", 3.0), "+2.5 % in a prototype"),
    Row(TWO, "%", ("<=", 10.0), "+4 % in a prototype; Lightning Trainer +48 to +128 %"),
]
PAIRS, SPAN, WARM = 200, 20, 10


def interleaved(
    model: Model, data: Data, by_hand: Callable[[int], None], *, pairs_kept: int = PAIRS, **training: Any
) -> tuple[float, dict[str, Any]]:
    """The median, over pairs of spans, of the engine's time over the hand-written loop's, in per cent above 1."""
    pairs: list[tuple[float, float]] = []
    since = 0.0

    def report(row: dict[str, Any]) -> None:
        nonlocal since
        now = time.perf_counter()
        by_hand(SPAN)
        after = time.perf_counter()
        if since and "split" not in row:
            pairs.append((now - since, after - now))
        since = time.perf_counter()

    steps = (pairs_kept + WARM + 1) * SPAN
    with tempfile.TemporaryDirectory() as folder:
        asked = Training(steps=steps, log_every=SPAN, eval_every=steps, **training)
        train(model, data, asked, Path(folder) / "run", report=report)
    pairs = pairs[WARM : WARM + pairs_kept]
    return 100 * (statistics.median(engine / hand for engine, hand in pairs) - 1), {
        "pairs": len(pairs),
        "steps in a span": SPAN,
        "statistic": "median of the pairs' ratios",
        "median ms a step by hand": 1000 * statistics.median(hand for _, hand in pairs) / SPAN,
        **machine(),
    }


class PlainNoise:
    """Noise as a plain loop has it: from torch's global generator."""

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(100, *shape)


def vae_by_hand(data: Data) -> Callable[[int], None]:
    """Dynamic binarisation, the model's loss, gradient, fused Adam: nothing else."""
    vae = built(Recipe("vae", MLP, DYNAMIC), data)
    column = data.splits["train"].columns["x"]
    images = column.numbers(torch.arange(len(column)))
    adam = torch.optim.Adam(vae.parameters(), lr=1e-3, fused=True)
    noise: Any = PlainNoise()

    def steps(n: int) -> None:
        order = torch.randperm(len(images))[: 100 * n]
        for rows in order.split(100):
            x = images[rows]
            x = (torch.rand_like(x) < x).float()
            parts: Any = vae.loss({"x": x}, noise)
            loss = (parts["reconstruction"] + parts["kl"]).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
        float(loss.detach())

    return steps


class TwoPlayers(Model):
    """A small adversarial pair, discriminator and generator, to time steps of two players.

    Args:
        x: vectors
        hidden: units of each network's two layers
    """

    paper: ClassVar = ("Goodfellow et al.", 2014, "1406.2661")

    def __init__(self, x: Vector, *, hidden: int = 128):
        super().__init__()
        self.generator = nn.Sequential(nn.Linear(16, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, x.dims))
        self.discriminator = nn.Sequential(nn.Linear(x.dims, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def discriminator_loss(self, batch: Batch, noise: Noise) -> dict[str, Part]:
        with torch.no_grad():
            fake = self.generator(noise.normal(16))
        return {"real": F.softplus(-self.discriminator(batch["x"])).squeeze(1), "fake": F.softplus(self.discriminator(fake)).squeeze(1)}

    def generator_loss(self, batch: Batch, noise: Noise) -> dict[str, Part]:
        return {"fooled": F.softplus(-self.discriminator(self.generator(noise.normal(16)))).squeeze(1)}

    def stages(self) -> list[Stage]:
        adam = Adam(lr=1e-4)
        discriminator = Player("discriminator", [self.discriminator], self.discriminator_loss, adam)
        return [Stage("play", [discriminator, Player("generator", [self.generator], self.generator_loss, adam)])]


def two_by_hand(x: Tensor) -> Callable[[int], None]:
    """One move of each player a step, as the usual adversarial loop has it."""
    model = TwoPlayers(Vector(x.shape[1]))
    noise: Any = PlainNoise()
    discriminator_adam, generator_adam = (
        torch.optim.Adam(net.parameters(), lr=1e-4, fused=True) for net in (model.discriminator, model.generator)
    )

    def steps(n: int) -> None:
        order = torch.randperm(len(x))[: 100 * n]
        for rows in order.split(100):
            parts: Any = model.discriminator_loss({"x": x[rows]}, noise)
            loss = (parts["real"] + parts["fake"]).mean()
            discriminator_adam.zero_grad()
            loss.backward()
            discriminator_adam.step()
            model.discriminator.requires_grad_(False)
            parts = model.generator_loss({}, noise)
            loss = parts["fooled"].mean()
            generator_adam.zero_grad()
            loss.backward()
            generator_adam.step()
            model.discriminator.requires_grad_(True)
        float(loss.detach())

    return steps


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    data = load(**DYNAMIC)
    yield ONE, *interleaved(built(Recipe("vae", MLP, DYNAMIC), data), data, vae_by_hand(data), lr=1e-3)
    x = torch.randn(5000, 32)
    fields = {name: Split({"x": Column(Vector(32), x.numpy())}) for name in ("train", "valid")}
    record = {"spec": "5000 normal vectors of 32 numbers", "sha256": ""}
    yield TWO, *interleaved(TwoPlayers(Vector(32)), Data({"x": Vector(32)}, fields, record), two_by_hand(x), lr=1e-4)
