"""Red wine, 11 columns: log p of held-out rows under a Gaussian of full covariance and under RNADE with 10 components, ten random folds.

Each fold's columns are normalised by the mean and standard deviation of the rows that are not held out, and log p is that of the
normalised numbers. Columns have equal values in many rows, where a density without a floor under its scales has no bound: the floor is in
units of a column's standard deviation. RNADE stops early on a tenth of those rows; the Gaussian is fitted to all of them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.protocol import machine
from benchmarks.recipes import RECIPES
from benchmarks.rows import Row
from benchmarks.training import built
from pofx.capabilities import Scores, require
from pofx.data import Column, Data, Split
from pofx.kinds import Vector
from pofx.train import Training
from pofx.train.loop import Trainer

FOLDS = 10
GAUSSIAN = "red wine, 10 folds: log p, Gaussian of full covariance"
FARTHER = "red wine, 10 folds: distance of the Gaussian's log p from -13.2"
RNADE = f"red wine, 10 folds: log p, RNADE, mixtures of 10 Gaussians, scales of at least {RECIPES['red_wine'].arguments['floor']}"
ROWS = [
    Row(GAUSSIAN, "nats", (">=", -13.5), "-13.18 (Uria, Murray & Larochelle 2013)"),
    Row(FARTHER, "nats", ("<=", 0.3), "so that columns and normalisation are those of the reference"),
    Row(RNADE, "nats", (">=", -9.6), "-9.36 (Uria, Murray & Larochelle 2013)"),
]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    recipe, began = RECIPES["red_wine"], time.monotonic()
    scores = np.array([fold(number) for number in range(FOLDS)])
    protocol = {
        "data": recipe.data,
        "columns": "all but the last",
        "folds": FOLDS,
        "statistic": "mean over folds of the mean over held-out rows",
    }
    trained = {"arguments": recipe.arguments, "training": recipe.training, "training_seconds": round(time.monotonic() - began, 1)}
    for what, more, of_F in zip((GAUSSIAN, RNADE), ({}, trained), scores.T, strict=True):
        error = float(of_F.std(ddof=1) / FOLDS**0.5)
        if what == GAUSSIAN:
            yield FARTHER, abs(float(of_F.mean()) + 13.2), protocol | machine()
        yield what, float(of_F.mean()), protocol | more | {"standard_error": error, "of each fold": of_F.round(4).tolist(), **machine()}


def fold(number: int) -> tuple[float, float]:
    """Mean log p of the held-out rows, in nats: of the Gaussian, of RNADE."""
    x = np.loadtxt(Path(os.environ["POFX_DATA"]) / RECIPES["red_wine"].data["spec"], delimiter=",")[:, :-1]
    folds = np.array_split(np.random.default_rng(0).permutation(len(x)), FOLDS)
    rest = np.concatenate(folds[:number] + folds[number + 1 :])
    x = (x - x[rest].mean(0)) / x[rest].std(0)
    valid, train = np.split(rest, [len(rest) // 10])  # the folds' order is already random
    log_p = gaussian(x[rest], x[folds[number]]).mean(), rnade(x[train], x[valid], x[folds[number]]).mean()
    print(f"fold {number}: Gaussian {log_p[0]:.3f}, RNADE {log_p[1]:.3f}", flush=True)
    return log_p


def gaussian(train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """log p of each row of `test` under the Gaussian that makes `train` most likely."""
    covariance = np.cov(train.T, bias=True)
    distance = test - train.mean(0)
    squared = (distance * np.linalg.solve(covariance, distance.T).T).sum(1)
    return -0.5 * (squared + np.linalg.slogdet(2 * np.pi * covariance)[1])


def rnade(train: np.ndarray, valid: np.ndarray, test: np.ndarray) -> np.ndarray:
    """log p of each row of `test` under RNADE with the weights that do best on `valid`."""
    x = Vector(train.shape[1])
    data = Data(
        {"x": x}, {name: Split({"x": Column(x, rows.astype(np.float32))}) for name, rows in (("train", train), ("valid", valid))}, {}
    )
    trainer = Trainer(built(RECIPES["red_wine"], data), data, Training(**RECIPES["red_wine"].training))
    trainer.run()
    trainer.model.load_state_dict(trainer.weights())
    with torch.no_grad():
        return require(trainer.model, Scores).log_prob(torch.from_numpy(test.astype(np.float32))).numpy()
