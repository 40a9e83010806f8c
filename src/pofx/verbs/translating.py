"""What a model makes of a source: lines of text in another language, or what pictures say."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pofx.verbs.lines as texts
from pofx.errors import UserError
from pofx.kinds import Image, Size, Tokens
from pofx.verbs.files import destination, write, write_picture
from pofx.verbs.flags import asking_flags, sort

if TYPE_CHECKING:
    from torch import Tensor

    from pofx.model import Model
    from pofx.run import Run

BLOCK = 100  # sources that are translated at once


def translate(
    run: str,
    *,
    data: str | None = None,
    text: str | None = None,
    n: Size | None = None,
    out: str | None = None,
    attention: str | None = None,
    trust: bool = False,
    **asked: Any,
) -> dict[str, Any]:
    """The likeliest x for each source: translations of lines of text, readings of pictures.

    Lines come from --text, from the file --data, or from standard input; each gives one line, in order, and a blank line a blank one.

    Args:
        run: a run folder of a model that translates
        data: a text file, one source a line; for a model that reads pictures, a folder of them or a data set, by default the run's own test
            split
        text: a source, instead of a file
        n: only so many sources from the first
        out: .txt, one x a line; .tsv with the source, or the picture's name, before it; .jsonl with both. By default they are printed
        attention: a .png to draw what the model looked at in the first source, token by token
        trust: execute the model file that the run carries
        asked: further arguments of the model's `translate`
    """
    from pofx.model import require
    from pofx.run import Run

    found = Run(run)
    model = found.model(trust=trust)
    require(model, "translates")
    _, own = sort("translate", asked, translate_flags(run, trust))
    file = destination(out, (".txt", ".tsv", ".jsonl")) if out else None
    drawn = destination(attention, (".png",), "--attention") if attention else None
    if drawn is not None and not hasattr(model, "attention"):
        raise UserError(f"{model.title()} has no attention to draw: leave --attention out")
    report: dict[str, Any] = {"run": str(found.path)}
    if isinstance(model.inputs["source"], Tokens):
        if data is None and text is None and sys.stdin.isatty():
            return report | {"items": _in_turn(found, model, own), "streamed": True}
        lines, name = texts.given_lines(data, text)
        named = lines[:n]
        rows = _encoded(found, model, named, name)
        said = [row for row in rows if row is not None]
        sources = [texts.batch(said[start : start + BLOCK]) for start in range(0, len(said), BLOCK)]
        blank = [row is None for row in rows]
    else:
        if text is not None:
            raise UserError(f"{found.path} reads {model.inputs['source']}: say with --data where they are, not --text")
        whole, named = pictures(found, model, data, n)
        sources, blank = list(whole.split(BLOCK)), [False] * len(whole)
    made = iter(_translated(found, model, sources, own))
    found_x = ["" if nothing else next(made) for nothing in blank]
    table = [{"source": source, "x": x} for source, x in zip(named, found_x, strict=True)]
    if file is not None:
        lines_of = {
            ".txt": lambda: "".join(f"{x}\n" for x in found_x),
            ".tsv": lambda: "".join(f"{row['source']}\t{row['x']}\n" for row in table),
        }
        if file.suffix.lower() in lines_of:
            write(file, lines_of[file.suffix.lower()]().encode())
        else:
            texts.write_texts(file, found_x, table, {})
        report["out"] = str(file)
    report |= {"items": len(found_x), **own, "translations": found_x, "sources": named}
    if drawn is not None:
        if not sources:
            raise UserError("there is nothing to look at: every line is blank")
        from pofx.verbs.inspecting import attention_picture

        given = sources[0][:1]
        x_1L = _tokens(model, given, own)
        picture, note = attention_picture(found, model, x_1L, given, inner=False)
        write_picture(drawn, picture)
        report |= {"attention": str(drawn)} | ({"note": note} if note else {})
    return report


translate_flags = asking_flags(translate, "translate", data=False)


def _encoded(run: Run, model: Model, lines: list[str], name: str) -> list[list[int] | None]:
    """The tokens of each line; None for a blank one, whatever blank characters it has."""
    kind = model.inputs["source"]
    assert isinstance(kind, Tokens)
    said = [line if line.strip() else "" for line in lines]
    encoded = texts.encoded(said, run.tokenizer("source"), kind, name, of=str(run.path))
    return [row if line else None for row, line in zip(encoded, said, strict=True)]


def _tokens(model: Model, source: Tensor, own: dict[str, Any]) -> Tensor:
    from pofx.evaluate.blocks import evaluating

    with evaluating(model):
        return model.translate(source, **own)


def _translated(run: Run, model: Model, sources: list[Tensor], own: dict[str, Any]) -> list[str]:
    from pofx.verbs.progress import Counting

    tokenizer, found, total = run.tokenizer("x"), list[str](), sum(map(len, sources))
    with Counting("translated") as progress:
        for source in sources:
            found += [tokenizer.decode(x_L).replace("\n", " ") for x_L in _tokens(model, source, own).tolist()]
            progress(len(found), total)
    return found


def pictures(run: Run, model: Model, data: str | None, n: int | None) -> tuple[Tensor, list[str]]:
    """Sources that are no text, as the model takes them, the first `n` of them, and what each is called.

    Args:
        run: of the model
        model: that is given a source
        data: where they are; by default those of the run's own test split
        n: how many; by default all
    """
    import numpy as np

    from pofx.data import load
    from pofx.verbs.prepared import Rows, prepared

    kind, field = model.inputs["source"], "source"
    if data is None:
        rows = Rows(prepared(run, model, None, {}, also=("source",)), "test")
    else:
        loaded, field = load(data, True), "x"
        if isinstance(kind, Image) and isinstance(loaded.fields["x"], Image) and loaded.fields["x"].shape != kind.shape:
            size = kind.width if kind.height == kind.width else None  # pictures are cropped to squares
            loaded = load(data, True, size=size, channels="grey" if kind.channels == 1 else "rgb")
        found = loaded.fields["x"]
        if type(found) is not type(kind) or found.shape != kind.shape:
            raise UserError(f"{run.path} reads {kind}, but {data} has {found}")
        rows = Rows(loaded, "all")
    about = rows.about()
    named = about.get("file", about["row"])
    count = min(n or len(rows), len(rows))
    return rows.read(np.arange(count))[field], list(map(str, named[:count]))


def _in_turn(run: Run, model: Model, own: dict[str, Any]) -> int:
    """Translate each line of a terminal as it is entered; how many there were."""
    print("one line at a time; Ctrl-D ends", file=sys.stderr)
    count = 0
    for line in sys.stdin:
        try:
            [row] = _encoded(run, model, [line.rstrip("\r\n")], f"line {count + 1}")
            print("" if row is None else _translated(run, model, [texts.batch([row])], own)[0], flush=True)
        except UserError as error:  # of this line alone
            print(f"pofx: {error}", file=sys.stderr)
        count += 1
    return count
