"""What a model makes of a source: lines of text in another language, or what pictures say."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import pofx.commands.texts as texts
from pofx.capabilities import Attends, Translates, can, require
from pofx.commands.files import destination, growing
from pofx.commands.flags import split_options
from pofx.commands.sources import Sources, items, tokens
from pofx.commands.verb import verb
from pofx.errors import Interrupted, UserError
from pofx.options import Size
from pofx.session import Result, Session

BLOCK = 400  # sources that are translated, the short ones first, before they are written in their order

Block = tuple[Sequence[str], Sequence[int], Sources]  # what sources are called, which of them are not blank, and these


@verb(Translates, json_only=("translations", "sources"), printed_texts="translations")
def translate(
    run: str | Session,
    *,
    data: str | None = None,
    text: str | None = None,
    n: Size | None = None,
    out: str | None = None,
    attention: str | None = None,
    stream: bool = True,
    trust: bool = False,
    **asked: Any,
) -> Result:
    """The likeliest x for each source: translations of lines of text, readings of pictures.

    Lines come from --text, from the file --data, or from standard input; each gives one line, in order, and a blank line a blank one. They
    are written as they are done. Pictures are made as large as those that were trained on, if they are of the same shape.

    Args:
        run: a run folder of a model that translates
        data: a text file, one source a line; for a model that reads pictures, one of them, a folder, or a data set, by default the run's
            own test split
        text: a source, instead of a file
        n: only so many sources from the first
        out: .txt, one x a line; .tsv with the source, or the picture's name, before it; .jsonl with both. By default they are printed
        attention: a .png to draw what the model looked at in the first source, token by token
        stream: print each as it is done
        trust: execute the model file that the run carries
        asked: further arguments of the model's `translate`
    """
    import numpy as np
    import torch

    from pofx.commands.inspect import attention_picture
    from pofx.commands.progress import Counting
    from pofx.evaluate.text import translations

    session = Session.load(run, trust=trust)
    model = session.model
    require(model, Translates)
    _, own = split_options("translate", asked, translate.known(run, trust))
    file = destination(out, (".txt", ".tsv", ".jsonl")) if out else None
    drawn = destination(attention, (".png",), "--attention") if attention else None
    if drawn is not None and not can(model, Attends):
        raise UserError(f"{model.title()} has no attention to draw: remove --attention")
    form = None if file is None else file.suffix.lower()
    made_of = _lines if model.inputs["source"].text else _pictures
    total, blocks = made_of(session, data, text, n, form == ".tsv")
    named: list[str] = []
    written: list[str] = []
    looked = None  # the first source, and what was made of it
    stdout, live = sys.stdout, stream and file is None
    quiet = total is None or total < 2 or (live and stdout.isatty())  # what is printed is progress enough
    with growing(file) if file else nullcontext(None) as add, nullcontext(None) if quiet else Counting("translated") as progress:
        try:
            for names, said, sources in blocks:
                done = len(named)
                advance = None if progress is None else lambda so_far, _, done=done, progress=progress: progress(done + so_far, total)
                made = translations(model, sources, np.arange(len(sources)), own, advance) if said else []
                if looked is None and made:
                    looked = sources.read(np.arange(1))["source"], torch.from_numpy(made[0])[None]
                x = [""] * len(names)
                for place, x_L in zip(said, made, strict=True):
                    x[place] = session.texts(x_L[None])[0].replace("\n", " ")
                if add is not None:
                    add("".join(map(FORMS[form or ""], names, x)))
                elif live:
                    print("\n".join(x), file=stdout, flush=True)
                named += names
                written += x
        except KeyboardInterrupt:
            where = f"; they are in {file}" if file else ""
            raise Interrupted(f"stopped after {len(named)}{f' of {total}' if total else ''} translations{where}") from None
    report: dict[str, Any] = {"run": str(session.run.path), "items": len(named), **own, "translations": written, "sources": named}
    result = Result(report, {"x": written}, {"source": named})
    if live:
        report["streamed"] = True
    if file is not None:
        report["out"] = str(file)
    if drawn is not None:
        if looked is None:
            raise UserError("there is nothing to look at: every line is blank")
        result.artefacts[drawn], note = attention_picture(session, looked[1], looked[0], inner=False)
        report |= {"attention": str(drawn)} | ({"note": note} if note else {})
    return result


FORMS = {
    ".txt": lambda source, x: f"{x}\n",
    ".tsv": lambda source, x: "{}\t{}\n".format(source, x.replace("\t", " ")),
    ".jsonl": lambda source, x: json.dumps({"source": source, "x": x}, ensure_ascii=False) + "\n",
}


def _lines(session: Session, data: str | None, text: str | None, n: int | None, table: bool) -> tuple[int | None, Iterator[Block]]:
    """How many lines there are, where that is known, and blocks of them. Those of a file are looked at before any is translated."""
    if data is None and text is None:
        return None, _read(session, n, table)
    lines, name = texts.given_lines(data, text)
    lines = lines[:n]
    if table:
        _without_tabs(lines, name)
    rows = tokens(session, lines, name)
    return len(lines), (_block(session, lines[at : at + BLOCK], rows[at : at + BLOCK]) for at in range(0, len(lines), BLOCK))


def _read(session: Session, n: int | None, table: bool) -> Iterator[Block]:
    """Blocks of the lines of standard input, as they come in; what is wrong with one that is typed ends nothing."""
    typed, done, empty, name = sys.stdin.isatty(), 0, True, "standard input"
    if typed:
        print("one line at a time; Ctrl-D ends", file=sys.stderr)
    for lines in texts.arriving(BLOCK):
        lines = lines if n is None else lines[: n - done]
        empty &= not any(map(str.strip, lines))
        try:
            if table:
                _without_tabs(lines, name, done + 1)
            yield _block(session, lines, tokens(session, lines, name, first=done + 1))
        except UserError as error:
            if not typed:
                raise
            print(f"pofx: {error}", file=sys.stderr)
        done += len(lines)
        if done == n:
            break
    if empty and not typed:
        raise UserError(f"{name} is empty: it has no line with text in it")


def _block(session: Session, lines: Sequence[str], rows: Sequence[list[int] | None]) -> Block:
    return lines, [place for place, row in enumerate(rows) if row is not None], Sources(session, [row for row in rows if row is not None])


def _without_tabs(names: Sequence[str], where: str, first: int = 1) -> None:
    for number, name in enumerate(names, first):
        if "\t" in name:
            raise UserError(f"{where}: line {number} has a tab, which is what parts the columns of a .tsv: write .jsonl")


def _pictures(session: Session, data: str | None, text: str | None, n: int | None, table: bool) -> tuple[int, Iterator[Block]]:
    """How many pictures there are, and blocks of them."""
    if text is not None:
        raise UserError(f"{session.run.path} reads {session.model.inputs['source']}: pass them with --data, not --text")
    whole, names = items(session, data, n)
    if table:
        _without_tabs(names, "names of pictures")
    at = range(0, len(whole), BLOCK)
    return len(whole), ((names[i : i + BLOCK], range(len(whole[i : i + BLOCK])), Sources(session, whole[i : i + BLOCK])) for i in at)
