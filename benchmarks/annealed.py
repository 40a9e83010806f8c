"""Annealed importance sampling beside the importance-weighted bound: the MNIST VAE, whose weights are kept in `benchmarks/runs`.

Both are lower bounds in expectation; for a VAE, whose encoder was trained for the second, they should be close, and the first not lower.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.protocol import machine
from benchmarks.rows import Row
from pofx.data import reload
from pofx.evaluate.decoders import annealed_scores
from pofx.evaluate.likelihood import log_likelihood
from pofx.metrics.annealing import Annealing
from pofx.run import Run

ROWS_SCORED, SIMULATED, SAMPLES = 10, 5, 5000
ANNEALING = Annealing(chains=8, temperatures=1000, leapfrog=10)
OF = f"VAE mlp, first {ROWS_SCORED} rows of dynamic MNIST test"
LOG_P = f"{OF}: log p, annealed importance sampling, {ANNEALING.chains} chains, {ANNEALING.temperatures} temperatures"
ABOVE = f"{OF}: the same minus the importance-weighted bound, {SAMPLES} samples"
GAP = f"VAE mlp, {SIMULATED} pictures of its own: upper minus lower bound by annealing"
ROWS = [
    Row(LOG_P, "nats"),
    Row(ABOVE, "nats", (">=", -0.1), "above 0 (Wu et al. 2017)"),
    Row(GAP, "nats", ("<=", 1.0), "0 where annealing is exact"),
]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    run = Run("benchmarks/runs/vae_mlp")
    model, split = run.model(), reload(run.config["data"]).splits["test"]
    about = {
        "model": run.config["model"]["name"],
        "arguments": run.config["model"]["arguments"],
        "data": run.config["data"],
        "split": "test",
    }
    log_p, gap = annealed_scores(
        model, split, rows=ROWS_SCORED, annealing=ANNEALING, simulated=SIMULATED, about=about, progress=print_progress
    )
    bound = log_likelihood(model, split, rows=ROWS_SCORED, samples=SAMPLES)
    for what, value, error in (
        (LOG_P, log_p.value, log_p.standard_error),
        (ABOVE, log_p.value - bound.value, None),
        (GAP, gap.value, gap.standard_error),
    ):
        more = {} if error is None else {"standard_error": error}
        yield what, value, log_p.protocol | {"importance-weighted bound": bound.value, "simulated": SIMULATED} | more | machine()


def print_progress(done: int, total: int) -> None:
    print(f"{done} of {total} tens", flush=True)
