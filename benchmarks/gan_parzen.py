"""The GAN's MNIST network: Parzen-window log-likelihood of the test split, by 10,000 samples; a number that must not rank models."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

from benchmarks.rows import Row
from benchmarks.training import processor_seconds, protocol_of, trained
from pofx.data import reload
from pofx.evaluate.parzen import parzen_score
from pofx.game import generator

PARZEN = "GAN, maxout critic with r1, MNIST test: Parzen log-likelihood, 10k samples, median of 3 seeds (never to rank models)"
ROWS = [Row(PARZEN, "nats", (">=", 205.0), "225 +- 2 (Goodfellow 2014); real training pictures 243", within=40)]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    scores, sigmas = [], []
    for seed in range(3):
        run = trained(f"gan_parzen_{seed}")
        splits = reload(run.config["data"]).splits
        valid, test = (splits[name].read(range(len(splits[name])))["x"] for name in ("valid", "test"))
        samples = run.model().sample(10_000, generator=generator(("parzen", seed)))
        score = parzen_score(samples, valid[:1000], test)  # as many to choose sigma on as the paper's program
        print(score, flush=True)
        scores.append(score.value)
        sigmas.append(score.protocol["chosen"]["sigma"])
    yield (
        PARZEN,
        statistics.median(scores),
        {
            **score.protocol,
            "split": "test",
            "of each seed": scores,
            "sigma of each seed": sigmas,
            "standard_error": score.standard_error,
            "note": score.note,
            "training_processor_seconds": processor_seconds(run),
            **protocol_of(run),
        },
    )
