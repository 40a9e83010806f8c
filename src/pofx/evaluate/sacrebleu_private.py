"""What sacrebleu may rename: where chrF makes its number. Without it, an interval of chrF may differ in the digits of float32."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from sacrebleu.metrics import CHRF


class ChrF(CHRF):
    """chrF of resamples of which some share nothing with the references: 0.0 there, float32 elsewhere, of which there is no mean."""

    def _compute_f_score(self, statistics: list[int]) -> float:
        return float(super()._compute_f_score(statistics))


def resampled_score(measure: Any, found: list[str], wanted: list[str], resamples: int) -> Any:
    """sacrebleu's score of a corpus, with the interval of so many resamples of its sentences.

    Should sacrebleu no longer ask `ChrF` for its numbers, and find no mean, then the same sentences are drawn again and each resample is
    scored for itself: many times slower, and the same to the digits of float32, in which sacrebleu adds up.
    """
    try:
        return measure.corpus_score(found, [wanted], n_bootstrap=resamples)
    except TypeError:
        seed = os.environ.get("SACREBLEU_SEED", "12345")
        draws = np.random.default_rng(None if seed.lower() == "none" else int(seed)).choice(len(found), size=(resamples, len(found)))
        score = measure.corpus_score(found, [wanted])
        scores = [measure.corpus_score([found[i] for i in draw], [[wanted[i] for i in draw]]) for draw in draws]
        for one in scores:
            one.score = float(one.score)
        score.estimate_ci(scores)
        return score
