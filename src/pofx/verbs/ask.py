"""Asking a trained run: samples, scores, codes, reconstructions. What a model has not got is an error that says why."""

from __future__ import annotations

import math
from typing import Any

from pofx.errors import UserError
from pofx.kinds import Image, Seed, Size, Tokens
from pofx.verbs.files import ARRAYS, TABLES, destination, write_animation, write_arrays, write_picture, write_table
from pofx.verbs.flags import asking_flags, sort
from pofx.verbs.given import classes, condition, told
from pofx.verbs.prepared import Part, Rows, prepared
from pofx.verbs.texts import reconstructed_texts, sample_texts, score_texts

BLOCK = 500  # examples that a model draws or decodes at once


def sample(
    run: str,
    *,
    n: Size | None = None,
    given: tuple[str, ...] | None = None,
    out: str | None = None,
    growing: str | None = None,
    seed: Seed = 0,
    columns: Size | None = None,
    prompt: str | None = None,
    source: str | None = None,
    data: str | None = None,
    stream: bool = True,
    trust: bool = False,
    **asked: Any,
) -> dict[str, Any]:
    """Draw new examples: a picture grid, or arrays; texts are printed.

    Args:
        run: a run folder
        n: how many: 64 by default, 8 of each where several classes are given; 8 texts, or one of a running text; with several sources,
            one of each
        given: for a conditional model: classes, by name or number; each has its row in the picture. By default each equally likely
        out: .png for a grid, .npy or .npz for the numbers; by default samples/samples.png in the run folder. Of text .txt, .jsonl, or
            .npy or .npz for the tokens; by default it is printed
        growing: the same pictures as they grow, of a model that draws one number after another: .gif to watch, .png for a few moments
        seed: the same seed gives the same samples
        columns: of the grid
        prompt: what a text begins with
        source: of a model that translates or reads, what x is given: a text; or a picture, a folder of them, or a data set
        data: likewise, a file of texts, one a line; or a folder of pictures, or a data set
        stream: print a text as it is drawn, where it goes to a terminal
        trust: execute the model file that the run carries
        asked: further arguments of the model's `sample`
    """
    import torch

    from pofx.evaluate.blocks import evaluating
    from pofx.game import generator
    from pofx.model import require
    from pofx.pictures import grid, growth, labelled_rows, moments
    from pofx.run import Run

    found = Run(run)
    model = found.model(trust=trust)
    require(model, "samples")
    _, own = sort("sample", asked, sample_flags(run, trust))
    if isinstance(model.inputs["x"], Tokens):
        for flag, value in (("given", given), ("growing", growing), ("columns", columns)):
            if value is not None:
                raise UserError(f"{model.title()} draws text, which has no {flag}: leave --{flag} out")
        return sample_texts(found, model, n=n, prompt=prompt, out=out, seed=seed, stream=stream, options=own, source=source, data=data)
    for flag, value in (("source", source), ("data", data)):
        if value is not None:
            raise UserError(f"--{flag} is for models that write a text for it, and {model.title()} draws {model.inputs['x']}: leave it out")
    if prompt is not None:
        raise UserError(f"--prompt is what a text begins with, and {model.title()} draws {model.inputs['x']}: leave it out")
    file = destination(out or found.path / "samples" / "samples.png", (".png", *ARRAYS))
    kind, each, labels = model.inputs["x"], n or (8 if given and len(given) > 1 else 64), None
    if given:
        labels = torch.tensor(classes(condition(model)[1], given)).repeat_interleave(each)
    order = None
    if growing is not None:
        film = destination(growing, (".gif", ".png"), "--growing")
        order = drawing_order(model, own)
    noise, drawn = generator(("sample", seed)), []
    with evaluating(model):
        for rows in torch.arange(each * len(given or "1")).split(BLOCK):
            told = {} if labels is None else {"given": labels[rows]}
            drawn.append(model.sample(len(rows), generator=noise, **told, **own))
    x = _joined(drawn)
    if file.suffix.lower() != ".png":
        write_arrays(file, {"x": x} | ({} if labels is None else {"given": labels.numpy()}), "x")
    elif given and len(given) > 1 and columns is None:
        write_picture(file, labelled_rows({name: (x[i * each : (i + 1) * each], kind) for i, name in enumerate(given)}))
    else:
        write_picture(file, grid(x, kind, columns=columns))
    if order is not None:
        columns = columns or (each if given and len(given) > 1 else None)
        if film.suffix.lower() == ".gif":
            write_animation(film, growth(x, kind, order, columns=columns))
        else:
            write_picture(film, moments(x, kind, order))
    report = {"run": str(found.path), "samples": len(x), "given": list(given) if given else None, "seed": seed, **own, "out": str(file)}
    return report | ({} if growing is None else {"growing": growing})


sample_flags = asking_flags(sample, "sample", data=False)


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

    from pofx.evaluate import log_probs
    from pofx.model import require
    from pofx.pictures import grid, is_picture
    from pofx.run import Run
    from pofx.verbs.progress import Counting

    found = Run(run)
    model = found.model(trust=trust)
    require(model, "scores")
    _, own, loading = sort("score", asked, score_flags(run, trust))
    if isinstance(model.inputs["x"], Tokens):
        for flag, value in (("given", given), ("picture", picture)):
            if value is not None:
                raise UserError(f"{model.title()} scores text: leave --{flag} out")
        return score_texts(found, model, data=data, split=split, out=out, top=top, seed=seed, options=own, loading=loading)
    file = destination(out, TABLES) if out else None
    shown = destination(picture or found.path / "samples" / "unusual.png", (".png",), "--picture")
    about = told(model, given)
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


score_flags = asking_flags(score, "log_prob")


def embed(
    run: str, *, data: str | None = None, split: Part = "all", out: str | None = None, trust: bool = False, **asked: Any
) -> dict[str, Any]:
    """The code of every item, one row an item.

    Args:
        run: a run folder
        data: what to embed: a name or a path; by default the run's own data. It is prepared as the run's data were
        split: which of its splits
        out: .parquet or .csv (row, label if there is one, code_0, code_1, ...), .npy or .npz; by default codes.parquet in the run folder
        trust: execute the model file that the run carries
        asked: further arguments of the model's `encode`, and how the data are read
    """
    import numpy as np

    from pofx.evaluate.blocks import blocks, evaluating
    from pofx.evaluate.protocol import device_of
    from pofx.model import require
    from pofx.run import Run

    found = Run(run)
    model = found.model(trust=trust)
    require(model, "encodes")
    _, own, loading = sort("embed", asked, embed_flags(run, trust))
    file = destination(out or found.path / "codes.parquet", (*TABLES, *ARRAYS))
    loaded = prepared(found, model, data, loading)
    rows = Rows(loaded, split)
    written: dict[str, list[str]] = {}
    if isinstance(model.inputs["x"], Tokens):
        decode = found.tokenizer("x").decode
        written = {"text": [decode(x) for _, batch in blocks(rows, np.arange(len(rows)), device_of(model)) for x in batch["x"].tolist()]}
    with evaluating(model):
        codes = _joined([model.encode(batch["x"], **own).flatten(1) for _, batch in blocks(rows, np.arange(len(rows)), device_of(model))])
    if file.suffix.lower() in TABLES:
        write_table(file, {**rows.about(), **written, **{f"code_{i}": codes[:, i] for i in range(codes.shape[1])}})
    else:
        write_arrays(file, {"code": codes, **{name: np.array(column) for name, column in (rows.about() | written).items()}}, "code")
    return {"run": str(found.path), "data": loaded.record["spec"], "items": len(codes), "dimensions": codes.shape[1], "out": str(file)}


embed_flags = asking_flags(embed, "encode")


def reconstruct(
    run: str, *, data: str | None = None, split: Part = "test", n: Size = 16, out: str | None = None, trust: bool = False, **asked: Any
) -> dict[str, Any]:
    """Items and what is left of them after encoding and decoding, one above the other.

    Args:
        run: a run folder
        data: what to reconstruct: a name or a path; by default the run's own data. It is prepared as the run's data were
        split: which of its splits
        n: how many items, from the first
        out: .png for a picture, .npy or .npz for the numbers; by default samples/reconstructions.png in the run folder. Of text .txt or
            .jsonl; by default it is printed
        trust: execute the model file that the run carries
        asked: further arguments of the model's `decode`, and how the data are read
    """
    import numpy as np

    from pofx.evaluate.blocks import evaluating
    from pofx.model import require
    from pofx.pictures import labelled_rows
    from pofx.run import Run

    found = Run(run)
    model = found.model(trust=trust)
    require(model, "encodes", "decodes")
    _, own, loading = sort("reconstruct", asked, reconstruct_flags(run, trust))
    if isinstance(model.inputs["x"], Tokens):
        rows = Rows(prepared(found, model, data, loading), split)
        return reconstructed_texts(found, model, rows=rows, n=n, out=out, options=own)
    file = destination(out or found.path / "samples" / "reconstructions.png", (".png", *ARRAYS))
    loaded = prepared(found, model, data, loading)
    rows = Rows(loaded, split)
    x = rows.read(np.arange(min(n, len(rows))))["x"]
    with evaluating(model):
        back = _joined([model.decode(model.encode(block), **own) for block in x.split(BLOCK)])
    if file.suffix.lower() == ".png":
        kind = loaded.fields["x"]
        write_picture(file, labelled_rows({"original": (x.numpy(), kind), "reconstruction": (back, kind)}))
    else:
        write_arrays(file, {"x": x.numpy(), "reconstruction": back}, "reconstruction")
    error = float(np.square(back - x.numpy()).mean())
    return {"run": str(found.path), "data": loaded.record["spec"], "items": len(back), "mean squared error": error, "out": str(file)}


reconstruct_flags = asking_flags(reconstruct, "decode")


def drawing_order(model: Any, own: dict[str, Any]) -> Any:
    """The places of the flattened example in the order in which the model draws them, int64 (D,)."""
    from pofx.pictures import is_picture

    if not (hasattr(model, "order") or hasattr(model, "order_of")):
        raise UserError(f"{model.title()} draws all of x at once, so nothing grows: leave --growing out")
    if not is_picture(model.inputs["x"]):
        raise UserError(f"only pictures are shown growing, and x is {model.inputs['x']}: leave --growing out")
    return (model.order_of(own.get("order", 0)) if hasattr(model, "order_of") else model.order).cpu().numpy()


def _joined(blocks: list[Any]) -> Any:
    import torch

    return torch.cat(blocks).float().cpu().numpy()
