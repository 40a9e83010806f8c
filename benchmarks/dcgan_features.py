"""The discriminator's features of a DCGAN that saw MNIST without labels: a linear SVM on 1000 labels, beside the same on raw pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.protocol import machine
from benchmarks.rows import Row
from benchmarks.training import middle, processor_seconds, protocol_of, trained
from pofx.data import load
from pofx.evaluate.probe import linear_probe, raw_probe

FEATURES = (
    "DCGAN discriminator features, discriminator sees random affine maps, linear SVM, 1000 MNIST labels: test accuracy, median of 3 seeds"
)
WITHOUT = "the same without random affine maps, seed 0"
RAW = "raw pixels, linear SVM, 1000 MNIST labels: test accuracy"
ABOVE = "DCGAN discriminator features above raw pixels, linear SVM, 1000 MNIST labels"
ROWS = [
    Row(FEATURES, "%", (">=", 97.0), "paper's protocol", within=30),
    Row(WITHOUT, "%", within=30),
    Row(RAW, "%"),
    Row(ABOVE, "points", (">=", 4.0)),
]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    data = load("mnist")
    runs = [trained(f"dcgan_features_{seed}") for seed in range(3)]
    scores = [linear_probe(run.model(), data, labels=1000) for run in runs]
    values = {seed: 100 * score.value for seed, score in enumerate(scores)}
    score, run = scores[middle(values)], runs[middle(values)]
    assert score.standard_error is not None
    how = {"seeds": values, "standard_error": 100 * score.standard_error}
    seconds = {"training_processor_seconds": processor_seconds(run)}
    yield FEATURES, 100 * score.value, {**how, **score.protocol, **seconds, **protocol_of(run)}
    run = trained("dcgan_features_without_poses_0")
    without = linear_probe(run.model(), data, labels=1000)
    assert without.standard_error is not None
    seconds = {"training_processor_seconds": processor_seconds(run)}
    yield WITHOUT, 100 * without.value, {"standard_error": 100 * without.standard_error, **without.protocol, **seconds, **protocol_of(run)}
    raw = raw_probe(data, labels=1000)
    assert raw.standard_error is not None
    yield RAW, 100 * raw.value, {"standard_error": 100 * raw.standard_error, **raw.protocol, "data": data.record, **machine()}
    yield ABOVE, 100 * (score.value - raw.value), {"difference of": [FEATURES, RAW], **machine()}
