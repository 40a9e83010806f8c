"""A training step of PixelRNN: the scans as a graph of their steps, as plain PyTorch has them / as one function.

Both are the same network with the same weights and loss, forward and backward; they take turns.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.protocol import machine
from benchmarks.rows import Row
from pofx import models
from pofx.kinds import Binary
from pofx.layers.conv_lstm import Lines, lstm_cell
from pofx.run import seeded
from pofx.train import keep_freed_memory

BATCH, TURNS = 16, 8
MODELS = {"Diagonal BiLSTM, 1 layer, h=32": "diagonal_bilstm", "Row LSTM, 1 layer, h=32": "row_lstm"}
RATIO = {name: f"training step, batch {BATCH}, 28x28, {name}: time of plain PyTorch / ours" for name in MODELS}
OURS = {name: f"training step, batch {BATCH}, 28x28, {name}: ours" for name in MODELS}
ROWS = [row for name in MODELS for row in (Row(RATIO[name], ""), Row(OURS[name], "ms"))]


def plain_scan(gates: Sequence[Tensor], W_SKG: Tensor, lines: Lines, places_SN: Tensor) -> tuple[Tensor, ...]:
    """`pofx.layers.conv_lstm.scan`, its gradient left to autograd."""
    maps = []
    for entering, W_KG, places_N in zip(gates, W_SKG, places_SN, strict=True):
        sums, states = entering[places_N], list[Tensor]()
        h = c = sums.new_zeros(())
        for t, line in enumerate(lines.lines):

            def moved(before: Tensor, to: slice, source: slice, line: slice = line, t: int = t) -> Tensor:
                start = lines.lines[t - 1].start
                return F.pad(before[source.start - start : source.stop - start], (0, 0, 0, 0, to.start - line.start, line.stop - to.stop))

            now = sums[line]
            if t:
                now = now + torch.cat([moved(h, *link) for link in lines.state_links[t]], 2) @ W_KG
                c = moved(c, *lines.cell_links[t])
            h, c = lstm_cell(now, c)
            states.append(h)
        maps.append(torch.cat(states)[places_N.argsort()])
    return tuple(maps)


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    keep_freed_memory()  # as in every training
    x = (torch.rand(BATCH, 1, 28, 28, generator=torch.Generator().manual_seed(0)) < 0.2).float()
    for name, model_name in MODELS.items():
        cls = models.find(model_name)
        with seeded(0):
            model = cls(Binary(1, 28, 28), layers=1, hidden=32)  # type: ignore[call-arg]

        def step(model: Any = model) -> tuple[float, list[Tensor]]:
            model.zero_grad()
            began = time.perf_counter()
            (-model.log_prob(x).mean()).backward()
            return time.perf_counter() - began, [p.grad.clone() for p in model.parameters()]

        seconds: dict[str, list[float]] = {"ours": [], "plain": []}
        for turn in range(TURNS + 1):
            ours, expected = step()
            with patch.object(sys.modules[cls.__module__], "scan", plain_scan):
                plain, found = step()
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
            if turn:  # the first warms up
                seconds["ours"].append(ours)
                seconds["plain"].append(plain)
        protocol = {"model": model_name, "batch": BATCH, "seconds": seconds, "rule": f"the fastest of {TURNS} turns each", **machine()}
        yield RATIO[name], min(seconds["plain"]) / min(seconds["ours"]), protocol
        yield OURS[name], 1000 * min(seconds["ours"]), protocol
