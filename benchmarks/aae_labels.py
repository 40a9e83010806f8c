"""Semi-supervised adversarial autoencoders on MNIST with 100 and with 1000 labels, three seeds each: accuracy on the test split."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.rows import Row
from benchmarks.training import middle, processor_seconds, protocol_of, trained
from pofx.data import reload
from pofx.evaluate.reconstruction import error_rate

SEEDS = (0, 1, 2)
ROW = {
    labels: Row(
        f"AAE semi-supervised with poses, MNIST, {labels} labels: test accuracy, median of three seeds",
        "%",
        (">=", reach),
        f"{reference} (Makhzani 2015, 5,000 epochs); stretch {stretch}",
        within=60,
    )
    for labels, reach, stretch, reference in ((100, 93.0, 96.0, 98.1), (1000, 96.5, 97.5, 98.4))
}
ROWS = list(ROW.values())


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    for labels, row in ROW.items():
        found, protocol = {}, {}
        for seed in SEEDS:
            run = trained(f"aae_{labels}_{seed}")
            score = error_rate(run.model(), reload(run.config["data"]).splits["test"])
            assert score.standard_error is not None
            found[seed] = 100 * (1 - score.value)
            protocol[seed] = {
                "split": "test",
                "rows": score.protocol["rows"],
                "standard_error": 100 * score.standard_error,
                "training_processor_seconds": processor_seconds(run),
                **protocol_of(run),
            }
            print(f"{labels} labels, seed {seed}: {found[seed]:.2f} %", flush=True)
        yield row.what, found[middle(found)], protocol[middle(found)] | {"seeds": found}
