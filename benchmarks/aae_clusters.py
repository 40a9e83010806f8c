"""Clustering adversarial autoencoders on MNIST with 16 and with 30 clusters, three seeds each: accuracy on the test split."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.rows import Row
from benchmarks.training import middle, processor_seconds, protocol_of, trained
from pofx.data import reload
from pofx.evaluate.clusters import clustering_accuracy

SEEDS = (0, 1, 2)
ROW = {
    clusters: Row(
        f"AAE clustering with poses, MNIST, {clusters} clusters: test accuracy, median of three seeds",
        "%",
        (">=", reach),
        f"{reference} (Makhzani 2015, 1,500 epochs){stretch}",
        within=60,
    )
    for clusters, reach, stretch, reference in ((16, 80.0, "; stretch 88", "90.45 +- 2.05"), (30, 88.0, "", "95.90 +- 1.13"))
}
ROWS = list(ROW.values())


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    for clusters, row in ROW.items():
        found, others, protocol = {}, {}, {}
        for seed in SEEDS:
            run = trained(f"aae_clusters_{clusters}_{seed}")
            model, data = run.model(), reload(run.config["data"])
            score = clustering_accuracy(model, data, by="exemplar")
            found[seed] = 100 * score.value
            others[seed] = 100 * clustering_accuracy(model, data, by="majority").value
            protocol[seed] = {**score.protocol, "training_processor_seconds": processor_seconds(run), **protocol_of(run)}
            print(f"{clusters} clusters, seed {seed}: {found[seed]:.2f} %, by majority {others[seed]:.2f} %", flush=True)
        yield row.what, found[middle(found)], protocol[middle(found)] | {"seeds": found, "seeds_by_majority": others}
