"""Parzen-window log-likelihood of MNIST's test split, by 10,000 samples: a GAN, its control, and a convolutional one beside them.

The number must not rank models: real training pictures have about 243, less than some models that draw worse.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.rows import Row
from benchmarks.training import middle, processor_seconds, protocol_of, trained
from pofx.capabilities import Samples, require
from pofx.data import reload
from pofx.evaluate.parzen import parzen_score
from pofx.evaluate.protocol import Score
from pofx.randomness import generator

NORMALISED = "GAN, maxout discriminator with r1 and no dropout, generator with batch norm"
WITH_DROPOUT = "GAN, maxout discriminator with r1 and dropout, generator without batch norm"
CONVOLUTIONAL = "InfoGAN of half the width, little noise, without random affine maps"
PARZEN = f"{NORMALISED}, MNIST test: Parzen log-likelihood, 10k samples, median of 3 seeds (never to rank models)"
BESIDE = {  # of one run each
    f"{WITH_DROPOUT}, MNIST test: Parzen log-likelihood, 10k samples, seed 0": "gan_parzen_dropout_0",
    f"{CONVOLUTIONAL}, MNIST test: Parzen log-likelihood, 10k samples, seed 0": "infogan_half_without_poses_0",
}
ROWS = [
    Row(PARZEN, "nats", (">=", 205.0), "225 +- 2 (Goodfellow 2014); real training pictures 243", within=40),
    *[Row(what, "nats") for what in BESIDE],
]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    found = {seed: scored(f"gan_parzen_{seed}") for seed in range(3)}
    score, protocol = found[middle({seed: score.value for seed, (score, _) in found.items()})]
    each = {
        "of each seed": [score.value for score, _ in found.values()],
        "sigma of each seed": [score.protocol["chosen"]["sigma"] for score, _ in found.values()],
    }
    yield PARZEN, score.value, protocol | each
    for what, name in BESIDE.items():
        score, protocol = scored(name)
        yield what, score.value, protocol


def scored(name: str) -> tuple[Score, dict[str, Any]]:
    """What the samples of recipe `name` score on the test split, and how that came about."""
    run = trained(name)
    splits = reload(run.config["data"]).splits
    valid, test = (splits[split].read(range(len(splits[split])))["x"] for split in ("valid", "test"))
    samples = require(run.model(), Samples).sample(10_000, generator=generator(("parzen", run.config["training"]["seed"])))
    score = parzen_score(samples, valid[:1000], test)  # as many to choose sigma on as the paper's program
    print(name, score, flush=True)
    protocol = {
        **score.protocol,
        "split": "test",
        "standard_error": score.standard_error,
        "note": score.note,
        "training_processor_seconds": processor_seconds(run),
        **protocol_of(run),
    }
    return score, protocol
