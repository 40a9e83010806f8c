"""log p of a split: exact, or a bound that is called a bound."""

from __future__ import annotations

import hashlib
import inspect
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pofx import renamed
from pofx.capabilities import Dequantised, HasLikelihood, Scores, can, require
from pofx.data.blocks import BLOCK, Progress, blocks, chosen_rows, rows_record
from pofx.errors import UserError
from pofx.evaluate.protocol import Score, environment, mean_score, weights_hash
from pofx.evaluate.registry import measure
from pofx.evaluate.request import Request
from pofx.inference.arguments import scoring_options
from pofx.kinds import Kind
from pofx.model import Model, device_of, evaluating
from pofx.randomness import generator
from pofx.run import explained, write_whole


def log_likelihood(
    model: Model,
    split: Any,
    *,
    seed: int = 0,
    rows: int | np.ndarray | None = None,
    about: dict[str, Any] | None = None,
    given: str | int | None = None,
    unfinished: Path | None = None,
    progress: Progress | None = None,
    **asked: Any,
) -> Score:
    """The mean log p of a split's x, in nats per example, with its standard error over examples.

    Examples are scored in blocks of 100, and the noise of a block is a function of (seed, block), so the number depends on no batch
    size and on no interruption. If the model's `density` is "bound", so is the score, and `what` says so.

    Args:
        model: any model that scores
        split: a split of a data set, as `pofx.data.load` gives it
        seed: of the model's noise (importance samples)
        rows: so many rows from the first, or the rows' numbers; by default all
        about: what the caller knows of the data and the weights, stored in the protocol
        given: of a conditional model: the field with each example's own class, for log p(x | its label), or the number of one class
        unfinished: a folder that keeps the finished blocks, so that an evaluation that was killed goes on where it stopped
        progress: called with (rows done, rows in all) after each block
        asked: further keyword arguments of the model's `log_prob`, such as `samples`

    Raises:
        UserError: the model does not score; `log_prob` has no such argument; fewer than two rows; log p is not finite for some row
    """
    chosen = chosen_rows(split, rows)
    values, keywords = log_probs(model, split, seed=seed, rows=rows, given=given, unfinished=unfinished, progress=progress, **asked)
    return log_likelihood_of(model, values, chosen, seed=seed, options=keywords, given=given, about=about)


@measure("log p", needs=(Scores,), when=lambda request: not request.x.text, place=100)
def likelihood_scores(request: Request) -> Iterator[Score]:
    """log p, and the same in bits per dimension where x is a picture."""
    log_p = log_likelihood(
        request.model,
        request.rows_of,
        seed=request.seed,
        rows=request.rows,
        about=request.about,
        given=request.given,
        unfinished=request.unfinished,
        progress=request.progress,
        **request.scoring,
    )
    yield log_p
    if request.x.bits_per_dimension:
        yield bits_per_dimension(log_p, request.x)


def log_likelihood_of(
    model: Model,
    values: np.ndarray,
    chosen: np.ndarray,
    *,
    seed: int,
    options: dict[str, Any],
    given: str | int | None = None,
    about: dict[str, Any] | None = None,
) -> Score:
    """The score of what `log_probs` gave: its `values` for the rows `chosen`, and the `options` that were in force."""
    if not np.isfinite(values).all():
        row = chosen[~np.isfinite(values)][0]
        raise UserError(
            f"log p of row {row} is {values[~np.isfinite(values)][0]:g}, so there is no mean: remove that row, or train further"
        )
    protocol = {
        **(about or {}),
        **rows_record(chosen),
        "density": model.density,
        "dequantised": dequantised(model),
        "seed": seed,
        "options": options,
        **({} if given is None else {"given": given}),
        **environment(model),
    }
    return mean_score(_what(model, options, given), values, "nats per example", protocol)


def log_probs(
    model: Model,
    split: Any,
    *,
    seed: int = 0,
    rows: int | np.ndarray | None = None,
    given: str | int | None = None,
    unfinished: Path | None = None,
    progress: Progress | None = None,
    **asked: Any,
) -> tuple[np.ndarray, dict[str, Any]]:
    """log p of each row in nats, float64 (n,), and the keyword arguments of `log_prob` that were in force.

    Arguments as in `log_likelihood`. A row that the model holds for impossible has -inf; one that is not a number is a UserError.
    """
    scorer = require(model, Scores)
    keywords = scoring_options(model, asked)
    takes_generator = "generator" in inspect.signature(scorer.log_prob).parameters
    chosen = chosen_rows(split, rows, least=1)
    file = None if unfinished is None else unfinished / f"log_prob-{_key(model, split, chosen, seed, keywords, given)}.json"
    values = _finished(file, len(chosen))
    with evaluating(model):
        for number, batch in blocks(split, chosen, device_of(model), start=-(-len(values) // BLOCK)):
            x = batch["x"]
            extra: dict[str, Any] = {"generator": generator(("evaluate", seed, number), x.device)} if takes_generator else {}
            if given is not None:
                extra["given"] = batch[given] if isinstance(given, str) else torch.full((len(x),), given, device=x.device)
            log_p = scorer.log_prob(x, **extra, **keywords).double().cpu()
            if log_p.isnan().any():
                row = chosen[number * BLOCK + int(log_p.isnan().nonzero()[0])]
                raise UserError(f"log p of row {row} is not a number: look at that row, or train the model again with a lower lr")
            values += log_p.tolist()
            if file is not None:
                _write(file, values)
            if progress is not None:
                progress(len(values), len(chosen))
    if file is not None:
        file.unlink(missing_ok=True)
        if file.parent.is_dir() and not any(file.parent.iterdir()):
            file.parent.rmdir()
    return np.array(values), keywords


def dequantised(model: Model) -> bool:
    """Whether a model's density is that of whole levels with uniform noise added, as its likelihood says."""
    return can(model, HasLikelihood) and can(model.likelihood, Dequantised) and bool(model.likelihood.dequantised)


def bits_per_dimension(score: Score, kind: Kind) -> Score:
    """The same score as bits per dimension of integer pixels: -log p / (D ln 2), lower is better.

    Example:
        >>> from pofx.kinds import Image
        >>> print(bits_per_dimension(Score("log p", -64 * math.log(256), "nats per example"), Image(1, 8, 8)))
        bits per dimension: 8 bits
    """
    nats = kind.size * math.log(2)
    error = None if score.standard_error is None else score.standard_error / nats
    of, _, bound = score.what.partition(", ")
    what = "bits per dimension" + of.removeprefix("log p") + (f", upper bound from the {bound}" if bound else "")
    return Score(what, -score.value / nats, "bits", error, score.protocol)


def _what(model: Model, keywords: dict[str, Any], given: str | int | None) -> str:
    what = "log p" if given is None else f"log p given {given}" if isinstance(given, str) else f"log p given class {given}"
    if model.density == "exact":
        return what
    match keywords.get("samples"):
        case None:
            return f"{what}, lower bound"
        case 1:
            return f"{what}, evidence lower bound, 1 sample"
        case samples:
            return f"{what}, importance-weighted bound, {samples} samples"


def _key(model: Model, split: Any, chosen: np.ndarray, seed: int, keywords: dict[str, Any], given: str | int | None) -> str:
    """What an evaluation's numbers depend on: weights, data, seed, arguments, and versions and threads, which change the last digits."""
    about = (model.title(), weights_hash(model), seed, sorted(keywords.items()), given, environment(model))
    digest = hashlib.sha256(repr(about).encode())
    for _, batch in blocks(split, chosen, torch.device("cpu")):
        for field in ("x", given) if isinstance(given, str) else ("x",):
            digest.update(batch[field].contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _finished(file: Path | None, total: int) -> list[float]:
    if file is None or not file.is_file():
        return []
    try:
        values = json.loads(file.read_text())
    except ValueError:
        values = None
    if (
        not isinstance(values, list)
        or (len(values) % BLOCK and len(values) != total)
        or not all(isinstance(value, float) for value in values)
    ):
        raise UserError(f"{file} is damaged: delete it, and the evaluation starts again")
    return values


def _write(file: Path, values: list[float]) -> None:
    with explained(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, json.dumps(values).encode())  # with the shortest digits that give the same float back


__getattr__ = renamed.stayed(__name__)  # names that are elsewhere now
