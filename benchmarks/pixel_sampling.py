"""Sampling 64 pictures: the whole network for each number (naive), only what the newest number changes (cached), or all numbers at once
until none changes (Jacobi).

A naive pass costs the same whatever has been drawn, so `PASSES` of them, taken in turn with whole cached samples, are timed and their
median is multiplied by the number of passes that a picture takes. Speed does not depend on the weights, so the networks of the speed rows
are as constructed. The number of Jacobi's passes does: that row takes the trained PixelCNN of the benchmark pixelcnn.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

from benchmarks.protocol import machine
from benchmarks.rows import Row
from benchmarks.training import trained
from pofx.bases.autoregressive import Autoregressive
from pofx.kinds import Binary, Image
from pofx.models.autoregressive.gated_pixelcnn import GatedPixelCNN
from pofx.models.autoregressive.pixelcnn import PixelCNN
from pofx.randomness import generator
from pofx.run import seeded

PICTURES, PASSES, ROUNDS = 64, 12, 3
PLAIN = "64 binary images 28x28 from PixelCNN, 15 blocks, h=16: naive / cached"
GATED = "64 binary images 28x28 from Gated PixelCNN, 15 layers, 16 features: naive / cached"
COLOUR = "64 images 32x32, 3 channels of 256 levels, from PixelCNN, 15 blocks, h=48: naive / cached"
SECONDS = ", seconds of the cached sampler"
JACOBI = "64 binary images 28x28 from the trained PixelCNN, 7 blocks, h=16: passes of Jacobi sampling"
JACOBI_RATIO = "64 binary images 28x28 from the trained PixelCNN, 7 blocks, h=16: naive / Jacobi"
ROWS = [
    Row(PLAIN, "", (">=", 100.0), "195 measured elsewhere; up to 183 on a GPU (Ramachandran et al. 2017, fast-pixel-cnn)"),
    Row(PLAIN + SECONDS, "s"),
    Row(GATED, "", (">=", 60.0)),
    Row(GATED + SECONDS, "s"),
    Row(COLOUR, "", (">=", 60.0)),
    Row(COLOUR + SECONDS, "s"),
    Row(JACOBI, "passes", None, "784 naive passes"),
    Row(JACOBI_RATIO, ""),
]


def seconds(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def naive_pass(model: Autoregressive, x: torch.Tensor, d: int) -> Callable[[], object]:
    """One step of the naive sampler."""
    like = model.likelihood
    u = torch.rand(PICTURES, like.uniforms, 1, generator=generator(d))
    step = Autoregressive.stepper(model, x)
    return lambda: like.invert(step(d)[:, :, None], u)


def ratio(model: Autoregressive) -> tuple[float, float, dict[str, Any]]:
    """Naive / cached, the cached sampler's seconds, and how they were measured."""
    model.eval()
    D = model.order.numel()
    with torch.no_grad():
        x = model.sample(PICTURES, generator=generator("warm"))
        naive_pass(model, x, 0)()
        cached, naive = [], []
        for r in range(ROUNDS):
            cached.append(seconds(lambda r=r: model.sample(PICTURES, generator=generator(r))))  # type: ignore[misc]
            naive += [seconds(naive_pass(model, x, d)) for d in range(r, D, D * ROUNDS // PASSES)]
    whole, fast = D * statistics.median(naive), statistics.median(cached)
    return (
        whole / fast,
        fast,
        {
            "pictures": PICTURES,
            "naive seconds of a pass": statistics.median(naive),
            "naive passes timed": len(naive),
            "naive passes of a sample": D,
            "naive seconds of a sample, extrapolated": whole,
            "cached seconds of a sample": cached,
            "statistic": "median naive pass times their number / median cached sample",
            "weights": "as constructed",
            "parameters": sum(p.numel() for p in model.parameters()),
            **machine(),
        },
    )


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    with seeded(0):
        models: dict[str, Autoregressive] = {
            PLAIN: PixelCNN(Binary(1, 28, 28), blocks=15, hidden=16, activation="relu"),
            GATED: GatedPixelCNN(Binary(1, 28, 28), layers=15, hidden=16),
            COLOUR: PixelCNN(Image(3, 32, 32), blocks=15, hidden=48, activation="relu"),
        }
    for what, model in models.items():
        value, cached_seconds, protocol = ratio(model)
        yield what, value, protocol
        yield what + SECONDS, cached_seconds, protocol

    learned = trained("pixelcnn").model()
    assert isinstance(learned, PixelCNN)
    passes = 0

    def count(*_: object) -> None:
        nonlocal passes
        passes += 1

    value, _, protocol = ratio(learned)
    learned.sample(PICTURES, generator=generator("warm"), sampler="jacobi")
    with learned.first.register_forward_hook(count):
        jacobi = seconds(lambda: learned.sample(PICTURES, generator=generator(0), sampler="jacobi"))
    drawn = {name: learned.sample(PICTURES, generator=generator(0), sampler=name) for name in ("cached", "jacobi")}  # type: ignore[arg-type]
    assert torch.equal(drawn["cached"], drawn["jacobi"]), "the samplers drew different pictures"
    protocol |= {
        "weights": "of the benchmark pixelcnn",
        "naive / cached": value,
        "Jacobi seconds": jacobi,
        "samples": "equal",
    }
    yield JACOBI, passes, protocol
    yield JACOBI_RATIO, protocol["naive seconds of a sample, extrapolated"] / jacobi, protocol
