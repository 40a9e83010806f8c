"""The GAN's MNIST network: Parzen-window log-likelihood of the test split, by 10,000 samples; a number that must not rank models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.rows import Row
from benchmarks.training import middle, processor_seconds, protocol_of, trained
from pofx.data import reload
from pofx.evaluate.parzen import parzen_score
from pofx.game import generator

PARZEN = "GAN, maxout critic with r1, no dropout, generator with batch norm, MNIST test: Parzen log-likelihood, 10k samples, median of 3 seeds (never to rank models)"
ROWS = [Row(PARZEN, "nats", (">=", 205.0), "225 +- 2 (Goodfellow 2014); real training pictures 243", within=40)]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    found = []
    for seed in range(3):
        run = trained(f"gan_parzen_{seed}")
        splits = reload(run.config["data"]).splits
        valid, test = (splits[name].read(range(len(splits[name])))["x"] for name in ("valid", "test"))
        samples = run.model().sample(10_000, generator=generator(("parzen", seed)))
        score = parzen_score(samples, valid[:1000], test)  # as many to choose sigma on as the paper's program
        print(score, flush=True)
        found.append((score, run))
    score, run = found[middle({seed: score.value for seed, (score, _) in enumerate(found)})]
    yield (
        PARZEN,
        score.value,
        {
            **score.protocol,
            "split": "test",
            "of each seed": [other.value for other, _ in found],
            "sigma of each seed": [other.protocol["chosen"]["sigma"] for other, _ in found],
            "standard_error": score.standard_error,
            "note": score.note,
            "training_processor_seconds": processor_seconds(run),
            **protocol_of(run),
        },
    )
