"""Multi30k: a recurrent network with attention and a Transformer, German and English to others; BLEU of the validation captions.

BLEU is sacrebleu's, 13a, of whole captions as they are written, with its interval from 1000 resamples of the captions. The validation split
chooses which weights are kept, by their loss; nothing is chosen by its BLEU. The test split of 2016 has not been looked at.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from benchmarks.rows import Row
from benchmarks.training import processor_seconds, protocol_of, trained
from pofx.data import reload
from pofx.evaluate.text import translation_scores
from pofx.run import Run

BEAM: dict[str, Any] = {"beam": 5, "length_penalty": 1.0, "length": 60}
LANGUAGES = {"de_en": "German to English", "en_fr": "English to French"}
MODELS = {"transformer": "Transformer", "attention": "recurrent with attention"}
REACH = {("de_en", "transformer"): (">=", 35.0), ("de_en", "attention"): (">=", 30.0)}
REFERENCE = {
    ("de_en", "transformer"): "stretch 37; 36.5 (well-known tutorial, test, lowercased tokens)",
    ("de_en", "attention"): "28 (well-known tutorial, test, lowercased tokens)",
}
RUNS = {(pair, model): f"multi30k_{pair}_{model}" for pair in LANGUAGES for model in MODELS}
TITLE = {key: f"Multi30k, {LANGUAGES[key[0]]}, {MODELS[key[1]]}, validation" for key in RUNS}
LOWER, CASED, NATS = "BLEU, lowercased, beam 5", "BLEU, cased, beam 5", "nats per token"
ROWS = [
    row
    for key, title in TITLE.items()
    for row in (
        Row(f"{title}: {LOWER}", "", REACH.get(key), REFERENCE.get(key, ""), within=60),
        Row(f"{title}: {CASED}", ""),
        Row(f"{title}: {NATS}", "nats"),
    )
]
# What the recipe does not tell
RESUMED = {"multi30k_de_en_transformer": "steps 1 to 1855 on a cosine over 3625 steps; then resumed, on one over 2712"}


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    for key, name in RUNS.items():
        for what, value, how in translated(trained(name)):
            yield f"{TITLE[key]}: {what}", value, how


def translated(run: Run, device: str = "cpu") -> Iterator[tuple[str, float, dict[str, Any]]]:
    """BLEU of the validation captions, lowercased and cased, and the nats that chose the weights; with how each was measured."""
    data, began = reload(run.config["data"]), time.monotonic()
    scores = {score.what: score for score in translation_scores(run.model().to(device), data, split="valid", **BEAM)}
    how: dict[str, Any] = {"evaluation_seconds": round(time.monotonic() - began, 1)}
    how |= {"training_processor_seconds": processor_seconds(run)} if device == "cpu" else {}
    how |= protocol_of(run) | ({"learning rate": RESUMED[run.path.name]} if run.path.name in RESUMED else {})
    for what, score in ((LOWER, scores["BLEU, lowercased"]), (CASED, scores["BLEU"])):
        about = {"standard_error": score.standard_error, "interval_95": score.protocol["chosen"]["interval_95"]}
        asked = {"signature": score.protocol["signature"], "decoding": score.protocol["sampling"], "rows": score.protocol["rows"]}
        yield what, score.value, about | asked | how
    yield NATS, next(value for name, value in how["checkpoint"].items() if name.endswith(".nll")), how
