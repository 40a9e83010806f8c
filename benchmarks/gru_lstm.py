"""GRU beside LSTM as language models, at equal width and at equal parameters: two data sets, three seeds, less than a minute each."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

from benchmarks.recipes import GATED
from benchmarks.rows import Row
from benchmarks.training import protocol_of, trained
from pofx.data import reload
from pofx.evaluate.text import text_scores

SEEDS = (0, 1, 2)
DATA = {"shakespeare": "tinyshakespeare, last 10 %", "names": "names, validation, EOS counted"}
MODELS = {"lstm": "LSTM", "gru": "GRU of equal width", "gru_wide": "GRU of equal parameters"}
WHAT = {(data, model): f"{DATA[data]}, {MODELS[model]}: nats per character, mean of three seeds" for data in DATA for model in MODELS}
ROWS = [Row(what, "nats") for what in WHAT.values()]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    for (data, model), what in WHAT.items():
        found, protocol = {}, {}
        for seed in SEEDS:
            run = trained(f"{data}_{model}_{seed}")
            scores = {score.what: score for score in text_scores(run.model(), reload(run.config["data"]), split="valid")}
            found[seed], protocol = scores["nats per token"].value, protocol_of(run)
            print(f"{what}: seed {seed}: {found[seed]:.4f}", flush=True)
        spread = statistics.stdev(found.values())
        about = {"seeds": found, "standard deviation of seeds": spread, "standard_error": spread / len(SEEDS) ** 0.5, "width": GATED[model]}
        yield what, statistics.mean(found.values()), about | protocol
