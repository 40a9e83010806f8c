"""The adding problem at length 200: recurrent layers that must keep a number for up to 200 steps, within 10 minutes of one core each.

Each step has a number from [0, 1) and a mark, which is 1 at two steps of the sequence and 0 at the others; the target is the sum of
the two marked numbers. Who always says 1 has a mean squared error of 1/6. All sequences, the test's too, are drawn anew.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from benchmarks.protocol import machine
from benchmarks.rows import Row
from pofx.data import Column, Data, Split
from pofx.kinds import Series, Vector
from pofx.layers.recurrent import Cell, Recurrent
from pofx.model import Model
from pofx.options import Size
from pofx.plan import Batch, Part
from pofx.randomness import Noise, generator
from pofx.run import seeded
from pofx.train import Training, train

LENGTH, TRAIN, TEST = 200, 50_000, 10_000
HIDDEN = 64
TRAINING: dict[str, Any] = {
    "batch_size": 32,
    "clip": 1.0,
    "schedule": "cosine",
    "warmup": 0.02,
    "eval_every": 250,
    "keep": "last",
}
RATES: dict[Cell, float] = {"lstm": 5e-3, "gru": 5e-3, "rnn": 1e-3}
STEPS: dict[Cell, int] = {"lstm": 2000, "gru": 1500, "rnn": 2000}
KEEP = 4.0  # biases at first: states last some 50 steps, and little enters (Tallec & Ollivier, 2018, arXiv 1804.11188)
TITLES: dict[Cell, str] = {"lstm": "LSTM", "gru": "GRU", "rnn": "plain RNN"}
ROW = {
    cell: Row(
        f"adding problem, length {LENGTH}, {title}, {HIDDEN} units: mean squared error of {TEST:,} new sequences",
        "",
        None if cell == "rnn" else ("<=", 0.01),
        "1/6 = 0.1667 is who always says 1" if cell == "rnn" else "solved (Bai et al. 2018)",
        within=10,
    )
    for cell, title in TITLES.items()
}
ROWS = list(ROW.values())


class Adder(Model):
    """Reads a sequence with recurrent cells and says one number, a linear function of the last state.

    Args:
        x: sequences
        y: the number to say
        cell: rnn, lstm or gru
        hidden: units
        keep_bias: at first, of the gates that keep the state, forget of an LSTM and update of a GRU; and less than nothing, by as
            much, of an LSTM's input gates
    """

    paper: ClassVar = ("Hochreiter & Schmidhuber", 1997, "doi:10.1162/neco.1997.9.8.1735")

    def __init__(self, x: Series, y: Vector, *, cell: Cell = "lstm", hidden: Size = 64, keep_bias: float = 1.0):
        super().__init__()
        self.cells = Recurrent(x.channels, hidden, cell)
        if cell in ("lstm", "gru"):
            with torch.no_grad():
                bias_G = self.cells.get_parameter("layers.0.bias_ih_l0")  # torch's order: input, forget, ... and reset, update, ...
                bias_G[hidden : 2 * hidden] = keep_bias
                if cell == "lstm":
                    bias_G[:hidden] = -keep_bias
        self.out = nn.Linear(hidden, y.dims)

    def answer(self, x_BLC: Tensor) -> Tensor:
        return self.out(self.cells(x_BLC)[0][:, -1])

    def loss(self, batch: Batch, noise: Noise) -> dict[str, Part]:
        return {"error": (self.answer(batch["x"]) - batch["y"]).square().mean(1)}


def problems(n: int, seed: int) -> Split:
    """`n` sequences and their sums."""
    draws = generator(("adding", seed))
    number_BL, mark_BL = torch.rand(n, LENGTH, generator=draws), torch.zeros(n, LENGTH)
    mark_BL.scatter_(1, torch.rand(n, LENGTH, generator=draws).topk(2).indices, 1.0)
    x_BLC, y_B1 = torch.stack([number_BL, mark_BL], 2), (number_BL * mark_BL).sum(1, keepdim=True)
    return Split({"x": Column(Series(LENGTH, 2), x_BLC.numpy()), "y": Column(Vector(1), y_B1.numpy())})


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    fields: dict[str, Any] = {"x": Series(LENGTH, 2), "y": Vector(1)}
    splits = {name: problems(n, seed) for seed, (name, n) in enumerate((("train", TRAIN), ("valid", 1000), ("test", TEST)))}
    record = {"spec": f"adding problem, length {LENGTH}", "sha256": "", "counts": {name: len(split) for name, split in splits.items()}}
    for cell, row in ROW.items():
        training = Training(steps=STEPS[cell], lr=RATES[cell], **TRAINING)
        with seeded(training.seed):
            model = Adder(**fields, cell=cell, hidden=HIDDEN, keep_bias=KEEP)
        curve: list[float] = []

        def report(numbers: dict[str, Any], curve: list[float] = curve) -> None:
            if "split" in numbers:
                curve.append(next(value for name, value in numbers.items() if name.endswith(".error")))
                print(f"step {numbers['step']}: {curve[-1]:.4f}", flush=True)

        began, processor = time.monotonic(), time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            train(model, Data(fields, splits, record), training, Path(folder) / "run", report=report)
        seconds, processor = time.monotonic() - began, time.process_time() - processor
        with torch.no_grad():
            errors = [
                (model.answer(batch["x"]) - batch["y"]).square().flatten()
                for batch in map(splits["test"].read, torch.arange(TEST).split(1000))
            ]
        error_B = torch.cat(errors)
        yield (
            row.what,
            error_B.mean().item(),
            {
                "model": {"cell": cell, "hidden": HIDDEN, "keep_bias": KEEP, "parameters": model.parameter_count},
                "data": record,
                "training": asdict(training),
                "standard_error": statistics.stdev(error_B.tolist()) / TEST**0.5,
                "error of who always says the mean": splits["test"].read(range(TEST))["y"].var().item(),
                "validation errors": curve,
                "weights": "the last",
                "training_seconds": round(seconds, 1),
                "training_processor_seconds": round(processor, 1),
                **machine(),
            },
        )
