"""Characters of Shakespeare: a small Transformer after 2000 steps, beside n-grams and an LSTM; the whole last tenth is scored.

The text (tinyshakespeare) is cut once: the first nine tenths are trained on, the last tenth is scored, and nothing else is looked at. Each
character of it is predicted from the 32 to 63 before it (fewer in the first 64 only): windows of 64, 32 apart. An n-gram looks back n - 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.rows import Row
from benchmarks.training import processor_seconds, protocol_of, trained
from pofx.data import reload
from pofx.evaluate.text import text_scores
from pofx.run import Run

NGRAMS = {f"tinyshakespeare, last 10 %, {n}-gram: nats per character": f"shakespeare_{n}gram" for n in range(2, 9)}
BEST = "tinyshakespeare, last 10 %, the best n-gram (2 to 8, chosen on this very text): nats per character"
TRANSFORMER = "tinyshakespeare, last 10 %, Transformer, 4 layers, 4 heads, 128 wide, context 64, 2000 steps of batch 12: nats per character"
LSTM = "tinyshakespeare, last 10 %, LSTM, 2 layers of 256, the same steps: nats per character"
ROWS = [
    Row(TRANSFORMER, "nats", ("<=", 1.85), "1.88 (nanoGPT on a CPU, 20 random batches)"),
    *(Row(what, "nats") for what in NGRAMS),
    Row(BEST, "nats"),
    Row(LSTM, "nats"),
]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    yield TRANSFORMER, *nats(trained("shakespeare"))
    found = {}
    for what, name in NGRAMS.items():
        found[what] = nats(trained(name))
        yield what, *found[what]
    best = min(found, key=lambda what: found[what][0])
    value, protocol = found[best]
    yield BEST, value, protocol | {"orders": {NGRAMS[what]: value for what, (value, _) in found.items()}}
    yield LSTM, *nats(trained("shakespeare_lstm"))


def nats(run: Run, device: str = "cpu") -> tuple[float, dict[str, Any]]:
    """Nats a character over the whole validation split, and how they were measured."""
    scores = {score.what: score for score in text_scores(run.model().to(device), reload(run.config["data"]), split="valid")}
    score = scores["nats per token"]
    timed = device == "cpu" and run.config["model"]["name"] != "ngram"  # an n-gram has no steps, and a GPU's are not the processor's
    return score.value, {
        "split": "valid, the last tenth of the text, whole",
        "context": score.protocol["context"],
        "characters": score.protocol["tokens"],
        **({"training_processor_seconds": processor_seconds(run)} if timed else {}),
        **protocol_of(run),
    }
