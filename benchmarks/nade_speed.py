"""NADE H=500: a training epoch and 1000 samples, beside the plain PyTorch loops over the D pixels, in one run."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.protocol import machine
from benchmarks.recipes import RECIPES
from benchmarks.rows import Row
from benchmarks.training import built
from pofx.capabilities import Samples, require
from pofx.data import load
from pofx.randomness import generator
from pofx.train import Training
from pofx.train.loop import Trainer

TRAINING = "NADE H=500, training epoch (50k, batch 100): plain PyTorch loop over D / ours, each at its best thread count"
UNBOUND = TRAINING.replace("plain PyTorch loop over D", "the loop with the rows of W and V unbound before it")
OURS = "NADE H=500, training epoch (50k, batch 100): ours"
SAMPLING = "NADE H=500, 1000 samples of 784: loop that recomputes the hidden sum / ours, each at its best thread count"
ROWS = [
    Row(TRAINING, "", (">=", 12), "17 measured elsewhere, one thread"),
    Row(UNBOUND, ""),
    Row(OURS, "seconds"),
    Row(SAMPLING, "", (">=", 10)),
]
STEPS, SPANS = {"loop": 3, "unbound": 5, "ours": 50}, 5  # steps in a span; spans of each, in turn
THREADS = sorted({1, os.cpu_count() or 1})


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    """Ours is the engine's own step with all that it does there, but for an average of the weights; a loop's is its gradient and torch's
    fused Adam. Where a loop takes W[d] and V[d], each of their gradients fills a matrix with zeros; unbound rows spare that.
    """
    data = load(**RECIPES["nade"].data)
    model = built(RECIPES["nade"], data)
    trainer = Trainer(model, data, Training(steps=10**6, batch_size=100, eval_every=10**6))
    x = data.splits["train"].read(range(100))["x"]
    loops = {name: loop(built(RECIPES["nade"], data), x, unbound=name == "unbound") for name in ("loop", "unbound")}
    steps = {**loops, "ours": _on(trainer)}
    spans = alternate({name: partial(work, STEPS[name]) for name, work in steps.items()})
    epochs = {key: seconds / STEPS[key[0]] * 500 for key, seconds in spans.items()}
    protocol = {
        "steps in a span": STEPS,
        "spans of each": SPANS,
        "statistic": "median, times 500 steps",
        "seconds an epoch": _named(epochs),
    }
    loop_best, unbound_best, ours_best = (min(epochs[name, threads] for threads in THREADS) for name in ("loop", "unbound", "ours"))
    yield TRAINING, loop_best / ours_best, protocol | machine()
    yield UNBOUND, unbound_best / ours_best, protocol | machine()
    yield OURS, ours_best, protocol | machine()

    draws = {"loop": lambda: recomputing(model, 1000), "ours": lambda: require(model, Samples).sample(1000, generator=generator(0))}
    equal = (draws["loop"]() == draws["ours"]()).flatten(1).all(1).float().mean().item()
    assert equal >= 0.99, f"only {equal:.1%} of the pictures are equal: more than rounding at a draw's very edge can do"
    spans = alternate(draws)
    loop_best, ours_best = (min(spans[name, threads] for threads in THREADS) for name in ("loop", "ours"))
    protocol = {"spans of each": SPANS, "statistic": "median", "seconds": _named(spans), "share of equal pictures": equal}
    yield SAMPLING, loop_best / ours_best, protocol | machine()


def alternate(works: dict[str, Callable[[], Any]]) -> dict[tuple[str, int], float]:
    """The median seconds of each piece of work at each number of threads, after one round that does not count."""
    before, seconds = torch.get_num_threads(), dict[tuple[str, int], list[float]]()
    for _ in range(1 + SPANS):
        for threads in THREADS:
            torch.set_num_threads(threads)
            for name, work in works.items():
                began = time.perf_counter()
                work()
                seconds.setdefault((name, threads), []).append(time.perf_counter() - began)
    torch.set_num_threads(before)
    return {key: statistics.median(spans[1:]) for key, spans in seconds.items()}


def _on(trainer: Trainer) -> Callable[[int], None]:
    return lambda steps: trainer.run(trainer.step + steps)


def loop(nade: Any, x_BD: Tensor, unbound: bool) -> Callable[[int], None]:
    """Steps of training as a reader of the paper writes them: D small layers, and autograd through all of them."""
    adam = torch.optim.Adam(nade.parameters(), fused=True)
    x_BD = x_BD.flatten(1)

    def train(steps: int) -> None:
        for _ in range(steps):
            a_BH, logits = nade.c_H.expand(len(x_BD), -1), []
            W, V, b = (tuple(p) if unbound else p for p in (nade.W_DH, nade.V_DH, nade.b_D))
            for d in range(x_BD.shape[1]):
                logits.append(a_BH.sigmoid() @ V[d] + b[d])
                a_BH = a_BH + x_BD[:, d, None] * W[d]
            loss = F.binary_cross_entropy_with_logits(torch.stack(logits, 1), x_BD, reduction="none").sum(1).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()

    return train


@torch.no_grad()
def recomputing(nade: Any, n: int) -> Tensor:
    """Samples whose every bit begins again from all bits before it."""
    D = len(nade.b_D)
    u_BD = torch.rand(n, 1, D, generator=generator(0))[:, 0]
    x_BD = torch.zeros(n, D)
    for d in range(D):
        h_BH = (nade.c_H + x_BD[:, :d] @ nade.W_DH[:d]).sigmoid()
        x_BD[:, d] = (u_BD[:, d] < (h_BH @ nade.V_DH[d] + nade.b_D[d]).sigmoid()).float()
    return x_BD.view(n, *nade.shape)


def _named(seconds: dict[tuple[str, int], float]) -> dict[str, float]:
    return {f"{name}, {threads} threads": round(value, 4) for (name, threads), value in seconds.items()}
