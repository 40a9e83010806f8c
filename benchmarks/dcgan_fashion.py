"""DCGAN on Fashion-MNIST at 32x32: the Frechet distance of 10,000 samples by the stored feature network, beside real pictures' own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from benchmarks.protocol import machine
from benchmarks.rows import Row, read
from benchmarks.training import middle, processor_seconds, protocol_of, trained
from pofx.data import reload
from pofx.evaluate.features import Features, network
from pofx.inference.sampling import draw
from pofx.kinds import Image
from pofx.metrics.frechet import frechet_distance
from pofx.run import Run

DISTANCE = "DCGAN, Fashion-MNIST 32x32, 10k samples against the test split: frechet[convnet], median of 3 seeds"
REAL = "real Fashion-MNIST 32x32, 10k training pictures against the test split: frechet[convnet]"
ROWS = [Row(DISTANCE, "", within=6), Row(REAL, "")]
SAMPLES = 10_000


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    runs = [trained(f"dcgan_fashion_{seed}") for seed in range(3)]
    data = reload(runs[0].config["data"])
    x = data.fields["x"]
    assert isinstance(x, Image)
    features = smaller(network(Run("benchmarks/runs/features_fashion").model()), x)
    rows = np.arange(SAMPLES)
    test = data.splits["test"].read(rows)
    real = features(test["x"])
    (stored,) = read("features_fashion").values()
    accuracy = {"28x28": stored["value"], "32x32 made 28x28": 100 * float((features.classes_of(test["x"]) == test["label"].numpy()).mean())}
    how = {
        "features": features.record(),
        "test accuracy of the feature network, %": accuracy,
        "against": "test split, 10000 rows",
        "samples": SAMPLES,
        "covariance": "divided by n - 1",
    }
    distances = {seed: frechet_distance(features(draw(run.model(), SAMPLES, seed=0)), real) for seed, run in enumerate(runs)}
    median = middle(distances)
    seconds = {"training_processor_seconds": processor_seconds(runs[median])}
    yield DISTANCE, distances[median], {**how, "seeds": distances, "sampling seed": 0, **seconds, **protocol_of(runs[median])}
    training = features.of(data.splits["train"], rows)
    yield REAL, frechet_distance(training, real), {**how, "rows": "the first of the training split", "data": data.record, **machine()}


def smaller(features: Features, x: Image) -> Features:
    """Features, and classes, of pictures x made as small as those that the network was trained on."""
    _, height, width = features.x.shape
    classify = features.classify
    assert classify is not None

    def small(block: Tensor) -> Tensor:
        return F.interpolate(block, (height, width), mode="bilinear", antialias=True)

    return replace(
        features,
        name=f"{features.name} of pictures made {height}x{width}, bilinear",
        x=x,
        function=lambda block: features.function(small(block)),
        classify=lambda block: classify(small(block)),
    )
