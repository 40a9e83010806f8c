"""Lines of text: where verbs read them, and as a model takes them."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pofx.errors import UserError

if TYPE_CHECKING:
    from pofx.session import Session

SHOWN = 5  # lines of which unknown words are named


def given_lines(data: str | None, text: str | None, flag: str = "--text") -> tuple[list[str], str]:
    """Lines of a text that `flag` gives, or of the file --data; and what they are called in errors.

    Raises:
        UserError: both are given; the file is not there, or is not text in UTF-8; there is no text
    """
    from pofx.data.sources.lines import cut, decoded

    if text is not None:
        if data is not None:
            raise UserError(f"pass {flag} or --data, not both")
        if not text.strip():
            raise UserError(f"{flag} is empty: write what to read")
        return text.split("\n"), flag
    if data is None or not Path(data).is_file():
        raise UserError(f"there is no file {data}: name a text file, or give the text itself with {flag}")
    return cut(decoded(Path(data).read_bytes(), data), data), data


def arriving(most: int) -> Iterator[list[str]]:
    """The lines of standard input as they come in, those that are there together, at most so many: of a terminal, one at a time.

    What is not UTF-8 stands in them as `surrogateescape` has it, so that whoever makes tokens of a line says which one it is.
    """
    stdin: Any = sys.stdin.buffer
    rest, first = b"", True
    while piece := stdin.read1(2**16):
        *lines, rest = (rest + piece).split(b"\n")
        if lines and first:
            lines[0], first = lines[0].removeprefix(codecs.BOM_UTF8), False
        said = [line.removesuffix(b"\r").decode("utf-8", "surrogateescape") for line in lines]
        yield from (said[start : start + most] for start in range(0, len(said), most))
    if rest:
        yield [rest.decode("utf-8", "surrogateescape")]


def tokenized(
    lines: Sequence[str], session: Session, field: str, name: str, *, first: int = 1, whole: bool = True, known: bool = False
) -> list[list[int]]:
    """The tokens of each line, with its EOS where sequences have one. A note says which words are unknown.

    Args:
        lines: of text
        session: of the model that takes them
        field: as which it takes them
        name: of where the lines are from, for errors
        first: number of the first line
        whole: whether each is an example; otherwise it is a piece of one, without an end and as long as it likes
        known: words that are not known are an error

    Raises:
        UserError: names a line that is longer than the kind allows, or that has a character outside the vocabulary
    """
    kind, codec, of = session.model.inputs[field], session.codec(field), session.run.path
    assert codec is not None
    found, unknown, several = [], dict[int, list[str]](), len(lines) > 1 or first > 1
    for number, line in enumerate(lines, first):
        where = f"{name}: line {number}" if several else name
        try:
            if words := codec.unknown(line):
                unknown[number] = words
            tokens = codec.encode(line)
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
        found.append(kind.with_eos(tokens) if whole else tokens)
        if whole and kind.ragged and len(found[-1]) > kind.size:
            raise UserError(f"{where} has {len(found[-1])} tokens with its EOS, and {of} takes at most {kind.size}: shorten it")
    if unknown:
        count = sum(map(len, unknown.values()))
        shown = [f"line {number}: {', '.join(words)}" if several else ", ".join(words) for number, words in unknown.items()]
        what = (
            f"{count} {'word is' if count == 1 else 'words are'} not known ({'; '.join(shown[:SHOWN])}{'; ...' if shown[SHOWN:] else ''})"
        )
        if known:
            raise UserError(f"{name}: {what}: write it with words that {of} was trained on")
        print(f"note: {what}", file=sys.stderr)
    return found
