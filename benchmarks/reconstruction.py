"""Reconstruction MSE of the test split at 10 and 32 dimensions: a conv autoencoder's over PCA's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.rows import Row
from benchmarks.training import protocol_of, trained
from pofx.data import load
from pofx.evaluate.reconstruction import reconstruction_error

DIMENSIONS = (10, 32)
RATIO = {d: f"reconstruction MSE, MNIST test, {d} dimensions: conv autoencoder / PCA" for d in DIMENSIONS}
ROWS = [Row(RATIO[d], "", ("<=", 0.5), "the course: better than PCA") for d in DIMENSIONS]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    test = load("mnist").splits["test"]
    for d in DIMENSIONS:
        runs = {name: trained(f"{name}_{d}") for name in ("pca", "autoencoder")}
        mse = {name: reconstruction_error(run.model(), test)[1].value for name, run in runs.items()}
        yield (
            RATIO[d],
            mse["autoencoder"] / mse["pca"],
            {"mse": mse, "split": "test", "rows": len(test), **protocol_of(runs["autoencoder"])},
        )
