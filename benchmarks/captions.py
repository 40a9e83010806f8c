"""Emoji read as their captions: a Transformer that looks at the columns of a picture; validation captions, none of which was trained on.

Each picture shows another emoji, so that a caption is read only where its words, or their pieces, have been learned from others. Captions
have 3.2 words on average: BLEU is of words and pairs of them, for n-grams of four are rare.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from sacrebleu.metrics import BLEU

from benchmarks.rows import Row
from benchmarks.training import processor_seconds, protocol_of, trained
from pofx.data import reload
from pofx.evaluate.text import text_scores, translations

BEAM: dict[str, Any] = {"beam": 5, "length_penalty": 1.0, "length": 30}
TITLE = "captions of 32x32 emoji (twitter), validation"
NATS = f"{TITLE}: nats per token (byte pairs, vocabulary 1000)"
EXACT = f"{TITLE}: exact match, beam 5"
PAIRS = f"{TITLE}: BLEU of words and pairs of words, beam 5"
ROWS = [Row(NATS, "nats"), Row(EXACT, "%"), Row(PAIRS, "")]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    run = trained("captions")
    model, data = run.model(), reload(run.config["data"])
    how = {"training_processor_seconds": processor_seconds(run), **protocol_of(run)}
    nats = next(score for score in text_scores(model, data, split="valid") if score.what.startswith("nats per token"))
    yield NATS, nats.value, {"tokens": nats.protocol["tokens"], "standard_error": nats.standard_error, **how}
    rows, tokenizer, began = data.splits["valid"], data.tokenizers["x"], time.monotonic()
    found = [tokenizer.decode(x_L) for x_L in translations(model, rows, np.arange(len(rows)), BEAM)]
    how |= {"decoding": BEAM, "rows": len(rows), "evaluation_seconds": round(time.monotonic() - began, 1)}
    wanted = [tokenizer.decode(x_L) for x_L in rows.read(range(len(rows)))["x"].numpy()]
    yield EXACT, 100 * np.mean([one == other for one, other in zip(found, wanted, strict=True)]).item(), how
    bleu = BLEU(max_ngram_order=2)
    yield PAIRS, bleu.corpus_score(found, [wanted]).score, how | {"signature": str(bleu.get_signature())}
