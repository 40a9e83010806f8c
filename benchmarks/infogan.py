"""InfoGAN on MNIST, 5,000 updates, three seeds: how much of its 10-way code can be told, and how well that code finds the digits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.rows import Row
from benchmarks.training import processor_seconds, protocol_of, trained
from pofx.data import reload
from pofx.evaluate.clusters import clustering_accuracy, information

SEEDS = (0, 1, 2)
HALF = "InfoGAN of half the width, little noise, discriminator sees random affine maps"
TRAINED = {  # recipe and seeds of each
    HALF: ("infogan_half", SEEDS),
    "the same without random affine maps": ("infogan_half_without_poses", (0,)),
    "InfoGAN, little noise": ("infogan_little_noise", SEEDS),
    "InfoGAN, noise N(0, 1)": ("infogan", SEEDS),
}
KEPT = f"{HALF}, MNIST, 5,000 updates: L_I of the 10-way code, the least of three seeds"
MEDIAN, BEST = (f"{HALF}, MNIST test: accuracy of the 10 clusters, {which} of three seeds" for which in ("median", "best"))
EACH = {
    (name, seed): f"{name}, MNIST test: accuracy of the 10 clusters, seed {seed}" for name, (_, seeds) in TRAINED.items() for seed in seeds
}
ROWS = [
    Row(KEPT, "nats of 2.303", (">=", 2.25), "2.30 (Chen 2016)", within=27),
    Row(MEDIAN, "%", (">=", 85.0), "95 (Chen 2016)", within=27),
    Row(BEST, "%", (">=", 92.0), "95 (Chen 2016)", within=27),
    *(Row(each, "%", within=27) for each in EACH.values()),
]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    half = {seed: _accuracy(f"infogan_half_{seed}") for seed in SEEDS}
    least = min((protocol for _, protocol in half.values()), key=lambda protocol: protocol["L_I"]["c1"])
    yield KEPT, least["L_I"]["c1"], least | {"standard_error": least["L_I_standard_error"]["c1"]}
    by_accuracy = sorted(half.values(), key=lambda accuracy_and_protocol: accuracy_and_protocol[0])
    yield MEDIAN, *by_accuracy[1]
    yield BEST, *by_accuracy[2]
    for (name, seed), what in EACH.items():
        yield what, *(half[seed] if name == HALF else _accuracy(f"{TRAINED[name][0]}_{seed}"))


def _accuracy(name: str) -> tuple[float, dict[str, Any]]:
    """The clustering accuracy in percent, and how it was made, with L_I of every code over 10,000 fresh draws."""
    run = trained(name)
    model = run.model()
    bounds = information(model)
    score = clustering_accuracy(model, reload(run.config["data"]))
    assert score.standard_error is not None
    measured = {
        "standard_error": 100 * score.standard_error,
        "L_I": {code: bound.value for code, bound in bounds.items()},
        "L_I_standard_error": {code: bound.standard_error for code, bound in bounds.items()},
        "draws": 10_000,
    }
    print(f"{name}: {100 * score.value:.2f} %, {measured['L_I']}", flush=True)
    return 100 * score.value, {**score.protocol, **measured, "training_processor_seconds": processor_seconds(run), **protocol_of(run)}
