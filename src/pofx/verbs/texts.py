"""What `sample`, `score` and `interpolate` do where x is text: texts on the terminal and in files instead of pictures."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pofx.verbs.lines as texts
from pofx.errors import UserError
from pofx.kinds import Tokens
from pofx.verbs.files import TABLES, destination, write_table
from pofx.verbs.prepared import Part, Rows, prepared
from pofx.verbs.sources import given

if TYPE_CHECKING:
    import numpy as np
    import torch

    from pofx.data.tokenizing import Tokenizer
    from pofx.model import Model
    from pofx.run import Run

BLOCK = 500  # texts that are drawn at once
SHOWN = 200  # characters of an unusual text that are shown


def sample_texts(
    run: Run,
    model: Model,
    *,
    n: int | None,
    prompt: str | None,
    out: str | None,
    seed: int,
    stream: bool,
    options: dict[str, Any],
    source: str | None = None,
    data: str | None = None,
) -> dict[str, Any]:
    """New texts, as `pofx sample` gives them.

    Args:
        run: of the model
        model: of x of kind `Tokens`
        n: how many, of each source where there are sources; by default 8, one of a running text, and one of each of several sources
        prompt: that each begins with
        out: .txt, .jsonl, .npy or .npz with the tokens; by default they are in the report
        seed: the same seed gives the same texts
        stream: print the first as it is drawn, where standard output is a terminal and no file is asked for
        options: further arguments of the model's `sample`
        source: what x is given: a text, or where pictures are
        data: a file of such texts, or likewise
    """
    import torch

    from pofx.evaluate.blocks import evaluating
    from pofx.evaluate.text import padded
    from pofx.game import generator

    kind = model.inputs["x"]
    assert isinstance(kind, Tokens)
    tokenizer, file = run.tokenizer("x"), destination(out, texts.FORMS) if out else None
    begin: dict[str, Any] = {}
    if prompt:
        anything = Tokens(tokenizer.vocabulary, kind.length, ends=False)
        begin["prompt"] = torch.tensor(texts.encoded([prompt], tokenizer, anything, "--prompt", of=str(run.path), known=True)[0])
    told: dict[str, torch.Tensor] = {}
    names: list[str] = []
    if "source" in model.inputs:
        sources, names = given(run, model, source, data)
        n = n or (8 if len(names) == 1 else 1)
        told, names = {"given": sources.repeat_interleave(n, 0)}, [name for name in names for _ in range(n)]
    elif source is not None or data is not None:
        raise UserError(f"{model.title()} is a p(x): nothing is given, so leave --{'source' if data is None else 'data'} out")
    n = len(names) or n or (8 if kind.ends else 1)
    noise, live = generator(("sample", seed)), stream and file is None and sys.stdout.isatty() and hasattr(model, "stream") and n <= BLOCK
    with evaluating(model):
        if live:
            x = _streamed(model, tokenizer, n, noise, begin, told, options)
        else:
            blocks = []
            for done in range(0, n, BLOCK):
                some = {name: tensor[done : done + BLOCK] for name, tensor in told.items()}
                blocks.append(model.sample(min(BLOCK, n - done), generator=noise, **some, **begin, **options).cpu())
            x = torch.cat([padded(block, max(other.shape[1] for other in blocks)) for block in blocks])
    drawn = [tokenizer.decode(row) for row in x.tolist()]
    report = {"run": str(run.path), "samples": n, "seed": seed, **options, "prompt": prompt, "texts": drawn}
    report |= {"sources": names} if names else {}
    if live:
        print("\n\n".join(["", *drawn[1:]]) if kind.ends is False else "\n".join(["", *drawn[1:]]))
        report["streamed"] = True
    if file is not None:
        rows = [{"text": text} for text in drawn]
        if names:
            rows = [{"source": name, **row} for name, row in zip(names, rows, strict=True)]
        texts.write_texts(file, drawn, rows, {"x": x.numpy()})
        report["out"] = str(file)
    return report


def _streamed(
    model: Model,
    tokenizer: Tokenizer,
    n: int,
    noise: torch.Generator,
    begin: dict[str, Any],
    told: dict[str, torch.Tensor],
    options: dict[str, Any],
) -> torch.Tensor:
    """n texts (n, L), the first of which is printed piece by piece as it is drawn."""
    import torch

    prompt = begin.get("prompt", torch.empty(0, dtype=torch.int64))
    shortest = min(options.get("length") or model.inputs["x"].size, len(prompt) + 1)
    one = {name: tensor[:1] for name, tensor in told.items()}
    model.sample(1, generator=torch.Generator(noise.device), **one, **begin, **{**options, "length": shortest})  # refuses what it must
    drawn: list[torch.Tensor] = []

    def tokens() -> Iterator[int]:
        yield from prompt.tolist()
        for token_B in model.stream(model.read(told.get("given")), n, generator=noise, **begin, **options):
            drawn.append(token_B.cpu())
            yield int(token_B[0])

    for piece in tokenizer.pieces(tokens()):
        sys.stdout.write(piece)
        sys.stdout.flush()
    return torch.cat([prompt.expand(n, -1), torch.stack(drawn, 1)], 1)


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
    if kind.ends or not hasattr(model, "conditionals"):
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

    from pofx.evaluate import log_probs
    from pofx.kinds import NOTHING
    from pofx.verbs.progress import Counting

    given = "source" if "source" in model.inputs else None
    loaded = prepared(run, model, data, loading, also=("source",) if given else ())
    rows = Rows(loaded, split)
    with Counting("scored") as progress:
        values, _ = log_probs(model, rows, seed=seed, given=given, progress=progress, **options)
    items = rows.about() | {"text": list[str]()}
    counted = []
    for some in np.array_split(np.arange(len(rows)), -(-len(rows) // BLOCK)):
        x_BL = rows.read(some)["x"]
        counted += (x_BL != NOTHING).sum(1).tolist()
        items["text"] += [tokenizer.decode(x_L) for x_L in x_BL.tolist()]
    characters = np.array([len(text) for text in items["text"]])
    return items, values, np.array(counted), characters, {"data": loaded.record["spec"], "split": split}


def _lines_scored(run: Run, model: Model, tokenizer: Tokenizer, data: str | None, split: Part, loading: dict[str, Any]) -> Scored:
    """Each line of a running text that is not blank, with its end, given what stands before it in the text.

    A line that two splits share is in pieces, which are scored but are no whole lines.
    """
    import numpy as np

    from pofx.evaluate.text import context_rule, running_log_probs, running_text
    from pofx.verbs.progress import Counting

    window = model.inputs["x"].shape[0]
    if data is not None and Path(data).is_file():
        if split != "all":
            raise UserError(f"{data} is scored whole: leave --split out")
        lines, name = texts.given_lines(data, None)
        texts.encoded(lines, tokenizer, Tokens(tokenizer.vocabulary, window, ends=False), name)  # an error names the line
        running, spec, begins = {"all": np.array(tokenizer.encode("\n".join(lines)))}, data, {"all": (1, 1)}
    else:
        loaded = prepared(run, model, data, loading)
        names = list(loaded.splits) if split == "all" else [split]
        if split != "all" and split not in loaded.splits:
            raise UserError(f"{loaded.record['spec']} has no {split} split: it has {', '.join(loaded.splits)}, or say --split all")
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


def interpolated_texts(
    run: Run,
    model: Model,
    *,
    between: tuple[str, ...] | None,
    rows: Rows | None,
    pairs: int,
    steps: int,
    spherical: bool,
    out: str | None,
) -> dict[str, Any]:
    """The ways from the code of one text to that of another, decoded, as `pofx interpolate` gives them.

    Args:
        run: of the model
        model: that encodes and decodes x of kind `Tokens`
        between: the two texts; otherwise the first rows are paired
        rows: of the data, where nothing is given between
        pairs: how many ways between rows
        steps: texts a way, both ends included
        spherical: along the great circle
        out: .txt or .jsonl; by default they are in the report
    """
    from pofx.evaluate import interpolate

    kind, tokenizer = model.inputs["x"], run.tokenizer("x")
    assert isinstance(kind, Tokens)
    file = destination(out, texts.TEXTS) if out else None
    if between is not None:
        if len(between) != 2:
            raise UserError(f'--between takes two texts, not {len(between)}: --between "one text" "another"')
        x_BL = texts.batch(texts.encoded(list(between), tokenizer, kind, "--between", of=str(run.path), known=True))
    else:
        assert rows is not None
        if 2 * pairs > len(rows):
            raise UserError(f"{pairs} pairs need {2 * pairs} items, and there are {len(rows)}")
        x_BL = rows.read(list(range(2 * pairs)))["x"]
    ways = [[tokenizer.decode(x_L) for x_L in way] for way in interpolate(model, x_BL[0::2], x_BL[1::2], steps, spherical=spherical)]
    report: dict[str, Any] = {"run": str(run.path), "texts": ["\n".join(way) for way in ways], "ways": ways}
    if file is not None:
        texts.write_texts(file, report["texts"], [{"way": i, "texts": way} for i, way in enumerate(ways)], {})
        report["out"] = str(file)
    return report


def reconstructed_texts(run: Run, model: Model, *, rows: Rows, n: int, out: str | None, options: dict[str, Any]) -> dict[str, Any]:
    """Texts, and what is left of them after encoding and decoding, as `pofx reconstruct` gives them.

    Args:
        run: of the model
        model: that encodes and decodes x of kind `Tokens`
        rows: of the data
        n: how many, from the first
        out: .txt or .jsonl; by default they are in the report
        options: further arguments of the model's `decode`
    """
    from pofx.evaluate.blocks import evaluating

    tokenizer, file = run.tokenizer("x"), destination(out, texts.TEXTS) if out else None
    x_BL = rows.read(list(range(min(n, len(rows)))))["x"]
    with evaluating(model):
        back_BL = model.decode(model.encode(x_BL), **options)
    said, back = ([tokenizer.decode(x_L) for x_L in some.tolist()] for some in (x_BL, back_BL))
    pairs = [f"original        {one}\nreconstruction  {other}" for one, other in zip(said, back, strict=True)]
    same = sum(one == other for one, other in zip(said, back, strict=True)) / len(said)
    report: dict[str, Any] = {"run": str(run.path), "items": len(said), "exact_match": same, "texts": pairs}
    if file is not None:
        table = [{"original": one, "reconstruction": other} for one, other in zip(said, back, strict=True)]
        texts.write_texts(file, pairs, table, {})
        report["out"] = str(file)
    return report
