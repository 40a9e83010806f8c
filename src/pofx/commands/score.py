"""`pofx score`: log p of every item, and the most unusual ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pofx.commands.texts as texts
from pofx.capabilities import Factorises, Scores, can, require
from pofx.commands.condition import given_condition
from pofx.commands.files import TABLES, destination, examples
from pofx.commands.flags import split_options
from pofx.commands.verb import verb
from pofx.errors import UserError
from pofx.options import Seed, Size
from pofx.session import BLOCK, Part, Result, Rows, Session, Table

if TYPE_CHECKING:
    import numpy as np

SHOWN = 200  # characters of an unusual text that are shown


@verb(Scores, data=True, json_only=("rows",))
def score(
    run: str | Session,
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
) -> Result:
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

    session = Session.load(run, trust=trust)
    model, kind = session.model, session.kind
    require(model, Scores)
    _, own, loading = split_options("score", asked, score.known(run, trust))
    for flag, value in (("given", given), ("picture", picture)):
        if kind.text and value is not None:
            raise UserError(f"{model.title()} scores text: remove --{flag}")
    file = destination(out, TABLES) if out else None
    if picture is not None and kind.printed:
        raise UserError(f"{kind} is read, not drawn: remove --picture")
    drawn = picture is not None or kind.picture
    shown = destination(picture or session.run.path / "samples" / "unusual.png", (".png",), "--picture") if drawn else None
    if not kind.text or kind.ragged or not can(model, Factorises):
        about = "source" if "source" in model.inputs else given_condition(model, given)
        found = items_scored(session, data, split, about, seed, own, loading)
    else:
        found = lines_scored(session, data, split, loading)

    # The most unusual first; of texts, those that say the least a character
    lengths = found.characters
    each = -found.log_p if lengths is None else -found.log_p / lengths.clip(min=1)
    order = np.argsort(-each, kind="stable")
    order = order[np.array(found.ids.get("whole", [True] * len(order)), bool)[order]]
    rank: list[int | None] = [None] * len(each)
    for place, i in enumerate(order.tolist(), 1):
        rank[i] = place
    columns = found.ids | {"log_p": found.log_p.tolist()}
    if kind.text:
        assert found.tokens is not None
        columns |= {"tokens": found.tokens.tolist(), "nats_per_character": each.tolist()}
    columns |= {"rank": rank}
    table = [dict(zip(columns, item, strict=True)) for item in zip(*columns.values(), strict=True)]
    unusual = [{**table[i], **({"text": _short(table[i]["text"])} if kind.text else {})} for i in order[:top]]

    what = "exact log-likelihood" if model.density == "exact" else "lower bound of the log-likelihood"
    report: dict[str, Any] = {
        "run": str(session.run.path),
        **found.about,
        "items": len(found.log_p),
        "what": (_of_text(session, what) if kind.text else what)
        + (" given source" if "source" in model.inputs else "" if given is None else f" given {given}"),
        "density": model.density,
        "unit": "nats",
        **({} if found.asked is None else {"asked": found.asked}),
        "mean": float(found.log_p.mean()),
        **(_a_token(session, found) if kind.text else _an_item(session, found)),
        "most_unusual": unusual,
        "rows": table,
    }
    result = Result(report, {"log_p": found.log_p}, found.ids)
    if file is not None:
        result.artefacts[file] = Table(columns)
        report["out"] = str(file)
    if shown is not None:
        assert found.rows is not None
        x = found.rows.read(order[:top])["x"].numpy()
        result.artefacts[shown] = examples(shown, session, x, columns=min(top, 10))
        report["picture"] = str(shown)
    return result


@dataclass
class Scored:
    """log p of items.

    Args:
        log_p: (N,), in nats
        ids: columns of what each is
        about: what the report says of them all
        rows: where they are from, if they are rows of data
        asked: every argument of the model's `log_prob`, where the report says them
        tokens: (N,), how many each has, of text
        characters: (N,), likewise; with a line's end, where it has one
    """

    log_p: np.ndarray
    ids: dict[str, list[Any]]
    about: dict[str, Any]
    rows: Rows | None = None
    asked: dict[str, Any] | None = None
    tokens: np.ndarray | None = None
    characters: np.ndarray | None = None


def items_scored(
    session: Session,
    data: str | None,
    split: Part,
    given: str | int | None,
    seed: int,
    options: dict[str, Any],
    loading: dict[str, Any],
) -> Scored:
    """Every row of a split, or of all."""
    import numpy as np

    from pofx.commands.progress import Counting
    from pofx.evaluate import log_probs

    rows = session.read_rows(data, loading, split=split, also=(given,) if isinstance(given, str) else ())
    with Counting("scored") as progress:
        log_p, asked_in_full = log_probs(session.model, rows, seed=seed, given=given, progress=progress, **options)
    found = Scored(log_p, rows.ids(), {"data": rows.spec, "split": split}, rows)
    if not session.kind.text:
        found.asked = {**asked_in_full, "seed": seed}
        return found
    tokens, found.ids["text"] = list[int](), []
    for some in np.array_split(np.arange(len(rows)), -(-len(rows) // BLOCK)):
        x_BL = rows.read(some)["x"]
        tokens += session.kind.lengths(x_BL).tolist()
        found.ids["text"] += session.texts(x_BL)
    found.tokens, found.characters = np.array(tokens), np.array([len(text) for text in found.ids["text"]])
    return found


def lines_scored(session: Session, data: str | None, split: Part, loading: dict[str, Any]) -> Scored:
    """Each line of a running text that is not blank, with its end, given what stands before it in the text.

    A line that two splits share is in pieces, which are scored but are no whole lines.
    """
    import numpy as np

    from pofx.commands.progress import Counting
    from pofx.evaluate.text import context_rule, running_log_probs, running_text

    window, codec = session.kind.shape[0], session.codec()
    assert codec is not None
    if data is not None and Path(data).is_file():
        if split != "all":
            raise UserError(f"{data} is scored whole: remove --split")
        lines, name = texts.given_lines(data, None)
        texts.tokenized(lines, session, "x", name, whole=False)  # an error names the line
        running, spec, begins = {"all": np.array(codec.encode("\n".join(lines)))}, data, {"all": (1, 1)}
    else:
        loaded = session.read_rows(data, loading, split=split).data
        names = list(loaded.splits) if split == "all" else [split]
        running, spec = {name: running_text(loaded.splits[name]) for name in names}, loaded.record["spec"]
        begins = {name: loaded.begins.get(name, (1, 1)) for name in loaded.splits}
    torn = {line for line, character in begins.values() if character > 1}
    ids: dict[str, list[Any]] = {"line": [], "split": [], "whole": [], "text": []}
    values: list[float] = []
    tokens: list[int] = []
    characters: list[int] = []
    with Counting("tokens scored") as progress:
        for part, text in running.items():
            log_p = running_log_probs(session.model, text, window, progress)
            pieces = list(codec.pieces(text.tolist()))
            ended = np.cumsum([0, *(piece.count("\n") for piece in pieces[:-1])])  # line that each token begins in
            sums, counts, long = np.bincount(ended, log_p), np.bincount(ended), np.bincount(ended, list(map(len, pieces)))
            first = begins[part][0]
            said = "".join(pieces).split("\n")
            for number, line in enumerate(said[: len(sums)]):
                if line.strip():
                    ids["line"].append(first + number)
                    ids["split"].append(part)
                    ids["whole"].append(first + number not in torn or number not in (0, len(said) - 1))
                    ids["text"].append(line)
                    values.append(float(sums[number]))
                    tokens.append(int(counts[number]))
                    characters.append(int(long[number]))
    about = {"data": spec, "split": split, "context": context_rule(window)}
    return Scored(np.array(values), ids, about, tokens=np.array(tokens), characters=np.array(characters))


def _an_item(session: Session, found: Scored) -> dict[str, Any]:
    """What the report says of numbers."""
    values, kind = found.log_p, session.kind
    return {
        "standard_error": float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else None,
        "bits_per_dimension": -float(values.mean()) / (kind.size * math.log(2)) if kind.bits_per_dimension else None,
    }


def _a_token(session: Session, found: Scored) -> dict[str, Any]:
    """What the report says of text. What a word that is not known hides is not scored, so of words there are no bits a character."""
    assert found.tokens is not None
    assert found.characters is not None
    codec = session.codec()
    nats, tokens = -float(found.log_p.sum()), float(found.tokens.sum())
    said = {"nats_per_token": nats / tokens, "perplexity": math.exp(min(700.0, nats / tokens))}
    if codec is None or codec.kind == "words":
        return said
    exact = codec.kind == "characters" and session.model.density == "exact"
    bits = nats / math.log(2) / float(found.characters.sum())
    return said | {"bits_per_character" if exact else "bits_per_character_at_most": bits}


def _of_text(session: Session, what: str) -> str:
    """What a log-likelihood of tokens is of the text that they are."""
    codec = session.codec()
    if session.model.density != "exact":
        return what
    return f"{what} of the tokens" + (", a lower bound of that of the text" if codec is not None and codec.kind == "bpe" else "")


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
