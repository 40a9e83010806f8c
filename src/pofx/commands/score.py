"""`pofx score`: log p of every item, and the most unusual ones."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pofx.commands.texts as texts
from pofx.capabilities import Factorises, Scores, can, require
from pofx.commands.condition import given_condition
from pofx.commands.files import TABLES, destination, write_picture, write_table
from pofx.commands.flags import asking_flags, sort
from pofx.commands.prepare import BLOCK, Part, Rows, prepared
from pofx.errors import UserError
from pofx.kinds import Image, Tokens
from pofx.options import Seed, Size

if TYPE_CHECKING:
    import numpy as np

    from pofx.data.tokenizer import Tokenizer
    from pofx.model import Model
    from pofx.run import Run


def score(
    run: str,
    *,
    data: str | None = None,
    split: Part = "all",
    out: str | None = None,
    top: Size = 10,
    picture: str | None = None,
    given: str | None = None,
    seed: Seed = 0,
    trust: bool = False,
    **asked: Any,
) -> dict[str, Any]:
    """log p of every item, and the most unusual ones: those with the lowest; of text, those with the most nats a character.

    The report says whether it is the exact log-likelihood or a lower bound of it.

    Args:
        run: a run folder
        data: what to score: a name or a path; by default the run's own data. It is prepared as the run's data were
        split: which of its splits
        out: a .csv or .parquet to write one row an item to
        top: how many of the most unusual to show
        picture: a .png to draw the most unusual in; by default samples/unusual.png in the run folder, where the data are pictures
        given: for a conditional model: label (log p of each item given its own), or one class for all; by default log p of the mixture
            of all classes, each equally likely
        seed: of the model's noise
        trust: execute the model file that the run carries
        asked: further arguments of the model's `log_prob` (such as samples), and how the data are read
    """
    import numpy as np

    from pofx.commands.progress import Counting
    from pofx.evaluate import log_probs
    from pofx.render.pictures import grid, is_picture
    from pofx.run import Run

    found = Run(run)
    model = found.model(trust=trust)
    require(model, Scores)
    _, own, loading = sort("score", asked, score_flags(run, trust))
    if isinstance(model.inputs["x"], Tokens):
        for flag, value in (("given", given), ("picture", picture)):
            if value is not None:
                raise UserError(f"{model.title()} scores text: remove --{flag}")
        return score_texts(found, model, data=data, split=split, out=out, top=top, seed=seed, options=own, loading=loading)
    file = destination(out, TABLES) if out else None
    shown = destination(picture or found.path / "samples" / "unusual.png", (".png",), "--picture")
    about = given_condition(model, given)
    loaded = prepared(found, model, data, loading, also=(about,) if isinstance(about, str) else ())
    rows = Rows(loaded, split)
    with Counting("scored") as progress:
        values, asked_in_full = log_probs(model, rows, seed=seed, given=about, progress=progress, **own)
    kind = model.inputs["x"]
    order = np.argsort(values, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(1, len(order) + 1)
    items: dict[str, Any] = {**rows.about(), "log_p": values.tolist(), "rank": rank.tolist()}
    table = [dict(zip(items, item, strict=True)) for item in zip(*items.values(), strict=True)]
    report: dict[str, Any] = {
        "run": str(found.path),
        "data": loaded.record["spec"],
        "split": split,
        "items": len(values),
        "what": ("exact log-likelihood" if model.density == "exact" else "lower bound of the log-likelihood")
        + ("" if given is None else f" given {given}"),
        "density": model.density,
        "unit": "nats",
        "asked": {**asked_in_full, "seed": seed},
        "mean": float(values.mean()),
        "standard_error": float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else None,
        "bits_per_dimension": -float(values.mean()) / (kind.size * math.log(2)) if isinstance(kind, Image) else None,
        "most_unusual": [table[i] for i in order[:top]],
        "rows": table,
    }
    if file is not None:
        write_table(file, items)
        report["out"] = str(file)
    if picture or is_picture(loaded.fields["x"]):
        write_picture(shown, grid(rows.read(order[:top])["x"].numpy(), loaded.fields["x"], columns=min(top, 10)))
        report["picture"] = str(shown)
    return report


score_flags = asking_flags(score, Scores)
SHOWN = 200  # characters of an unusual text that are shown


def score_texts(
    run: Run,
    model: Model,
    *,
    data: str | None,
    split: Part,
    out: str | None,
    top: int,
    seed: int,
    options: dict[str, Any],
    loading: dict[str, Any],
) -> dict[str, Any]:
    """log p of every text, or of every line of a running text, as `pofx score` gives it. The most unusual have the fewest nats a character.

    Args:
        run: of the model
        model: that scores x of kind `Tokens`
        data: a text file or data with the model's fields; by default the run's own
        split: which of its splits
        out: a .csv or .parquet for one row a text
        top: how many of the most unusual to show
        seed: of the model's noise
        options: further arguments of the model's `log_prob`
        loading: how the data are read
    """
    import numpy as np

    kind, tokenizer = model.inputs["x"], run.tokenizer("x")
    assert isinstance(kind, Tokens)
    file = destination(out, TABLES) if out else None
    if kind.ends or not can(model, Factorises):
        items, values, counted, characters, about = _rows_scored(run, model, tokenizer, data, split, seed, options, loading)
    else:
        items, values, counted, characters, about = _lines_scored(run, model, tokenizer, data, split, loading)
    each = -values / characters.clip(min=1)
    order = np.argsort(-each, kind="stable")
    order = order[np.array(items.get("whole", [True] * len(order)), bool)[order]]
    rank: list[int | None] = [None] * len(each)
    for place, i in enumerate(order.tolist(), 1):
        rank[i] = place
    items |= {"log_p": values.tolist(), "tokens": counted.tolist(), "nats_per_character": each.tolist(), "rank": rank}
    table = [dict(zip(items, item, strict=True)) for item in zip(*items.values(), strict=True)]
    nats = -float(values.sum())
    exact = tokenizer.kind == "characters" and model.density == "exact"
    what = "exact log-likelihood of the tokens" if model.density == "exact" else "lower bound of the log-likelihood"
    what += ", a lower bound of that of the text" if tokenizer.kind == "bpe" and model.density == "exact" else ""
    report = {
        "run": str(run.path),
        **about,
        "items": len(values),
        "what": what + (" given source" if "source" in model.inputs else ""),
        "density": model.density,
        "unit": "nats",
        "mean": float(values.mean()),
        "nats_per_token": nats / float(counted.sum()),
        "perplexity": math.exp(min(700.0, nats / float(counted.sum()))),
        "bits_per_character" if exact else "bits_per_character_at_most": nats / math.log(2) / float(characters.sum()),
        "most_unusual": [{**table[i], "text": _short(table[i]["text"])} for i in order[:top]],
        "rows": table,
    }
    if tokenizer.kind == "words":  # what a word that is not known hides is not scored
        del report["bits_per_character_at_most"]
    if file is not None:
        write_table(file, items)
        report["out"] = str(file)
    return report


# Columns; log p, tokens and characters of each item; what the report says of them
Scored = tuple[dict[str, list[Any]], "np.ndarray", "np.ndarray", "np.ndarray", dict[str, Any]]


def _rows_scored(
    run: Run,
    model: Model,
    tokenizer: Tokenizer,
    data: str | None,
    split: Part,
    seed: int,
    options: dict[str, Any],
    loading: dict[str, Any],
) -> Scored:
    import numpy as np

    from pofx.commands.progress import Counting
    from pofx.evaluate import log_probs
    from pofx.kinds import PAD

    given = "source" if "source" in model.inputs else None
    loaded = prepared(run, model, data, loading, also=("source",) if given else ())
    rows = Rows(loaded, split)
    with Counting("scored") as progress:
        values, _ = log_probs(model, rows, seed=seed, given=given, progress=progress, **options)
    items = rows.about() | {"text": list[str]()}
    counted = []
    for some in np.array_split(np.arange(len(rows)), -(-len(rows) // BLOCK)):
        x_BL = rows.read(some)["x"]
        counted += (x_BL != PAD).sum(1).tolist()
        items["text"] += [tokenizer.decode(x_L) for x_L in x_BL.tolist()]
    characters = np.array([len(text) for text in items["text"]])
    return items, values, np.array(counted), characters, {"data": loaded.record["spec"], "split": split}


def _lines_scored(run: Run, model: Model, tokenizer: Tokenizer, data: str | None, split: Part, loading: dict[str, Any]) -> Scored:
    """Each line of a running text that is not blank, with its end, given what stands before it in the text.

    A line that two splits share is in pieces, which are scored but are no whole lines.
    """
    import numpy as np

    from pofx.commands.progress import Counting
    from pofx.evaluate.text import context_rule, running_log_probs, running_text

    window = model.inputs["x"].shape[0]
    if data is not None and Path(data).is_file():
        if split != "all":
            raise UserError(f"{data} is scored whole: remove --split")
        lines, name = texts.given_lines(data, None)
        texts.encoded(lines, tokenizer, Tokens(tokenizer.vocabulary, window, ends=False), name)  # an error names the line
        running, spec, begins = {"all": np.array(tokenizer.encode("\n".join(lines)))}, data, {"all": (1, 1)}
    else:
        loaded = prepared(run, model, data, loading)
        names = list(loaded.splits) if split == "all" else [split]
        if split != "all" and split not in loaded.splits:
            raise UserError(f"{loaded.record['spec']} has no {split} split: it has {', '.join(loaded.splits)}, or pass --split all")
        running, spec = {name: running_text(loaded.splits[name]) for name in names}, loaded.record["spec"]
        begins = {name: loaded.begins.get(name, (1, 1)) for name in loaded.splits}
    torn = {line for line, character in begins.values() if character > 1}
    items: dict[str, list[Any]] = {"line": [], "split": [], "whole": [], "text": []}
    values: list[float] = []
    counted: list[int] = []
    characters: list[int] = []  # with the line's end, where it has one
    with Counting("tokens scored") as progress:
        for part, tokens in running.items():
            log_p = running_log_probs(model, tokens, window, progress)
            pieces = list(tokenizer.pieces(tokens.tolist()))
            ended = np.cumsum([0, *(piece.count("\n") for piece in pieces[:-1])])  # line that each token begins in
            sums, counts, long = np.bincount(ended, log_p), np.bincount(ended), np.bincount(ended, list(map(len, pieces)))
            first = begins[part][0]
            said = "".join(pieces).split("\n")
            for number, line in enumerate(said[: len(sums)]):
                if line.strip():
                    items["line"].append(first + number)
                    items["split"].append(part)
                    items["whole"].append(first + number not in torn or number not in (0, len(said) - 1))
                    items["text"].append(line)
                    values.append(float(sums[number]))
                    counted.append(int(counts[number]))
                    characters.append(int(long[number]))
    about = {"data": spec, "split": split, "context": context_rule(window)}
    return items, np.array(values), np.array(counted), np.array(characters), about


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
