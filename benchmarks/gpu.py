"""Where a GPU is at hand: training examples/s there, and the conv VAE's best bound after 10 minutes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.recipes import RECIPES
from benchmarks.rows import Row
from benchmarks.training import bound, built, trained
from pofx.data import load
from pofx.errors import UserError
from pofx.train import Training, train

RATE = "training examples/s on a GPU, conv VAE"
BOUND = "VAE conv, 10 minutes on a GPU, dynamic MNIST test: -log p bound, 500 samples"
ROWS = [Row(RATE, "examples/s", optional=True), Row(BOUND, "nats", optional=True)]
STEPS = 2000


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    if not torch.cuda.is_available():
        raise UserError("no GPU here: these rows are optional")
    recipe = RECIPES["gpu_conv"]
    data = load(**recipe.data)
    device = {"gpu": torch.cuda.get_device_name()}
    with tempfile.TemporaryDirectory() as folder:
        training = Training(**(recipe.training | {"epochs": None, "steps": STEPS, "eval_every": STEPS}))
        marks: list[float] = []
        train(built(recipe, data), data, training, Path(folder) / "run", report=lambda row: marks.append(time.perf_counter()))
    marks = marks[len(marks) // 2 : -1]  # without the start, and without the validation at the end
    rate = training.batch_size * training.log_every * (len(marks) - 1) / (marks[-1] - marks[0])
    run = trained("gpu_conv")
    value, protocol = bound(run, "test", samples=500, device="cuda")
    yield RATE, rate, protocol | device
    yield BOUND, value, protocol | device
