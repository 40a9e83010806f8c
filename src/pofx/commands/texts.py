"""Lines of text: where verbs read them, as a model takes them, and how texts are written."""

from __future__ import annotations

import codecs
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pofx.commands.files import ARRAYS, write, write_arrays
from pofx.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from pofx.data.tokenizer import Tokenizer
    from pofx.kinds import Tokens

TEXTS = (".txt", ".jsonl")
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


def encoded(
    lines: Sequence[str], tokenizer: Tokenizer, kind: Tokens, name: str, *, of: str = "the model", first: int = 1, known: bool = False
) -> list[list[int]]:
    """The tokens of each line, with its EOS where sequences have one. A note says which words are unknown.

    Args:
        lines: of text
        tokenizer: of the field
        kind: of the field
        name: of where the lines are from, for errors
        of: what takes them, for errors
        first: number of the first line
        known: words that are not known are an error

    Raises:
        UserError: names a line that is longer than the kind allows, or that has a character outside the vocabulary
    """
    from pofx.kinds import EOS

    found, unknown, several = [], dict[int, list[str]](), len(lines) > 1 or first > 1
    for number, line in enumerate(lines, first):
        where = f"{name}: line {number}" if several else name
        try:
            if words := tokenizer.unknown(line):
                unknown[number] = words
            tokens = tokenizer.encode(line)
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
        found.append([*tokens, EOS] if kind.ends else tokens)
        if kind.ends and len(found[-1]) > kind.length:
            raise UserError(f"{where} has {len(found[-1])} tokens with its EOS, and {of} takes at most {kind.length}: shorten it")
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


def batch(rows: Sequence[Sequence[int]]) -> Tensor:
    """Sequences of tokens as one batch, int64 (B, L), with PAD behind the shorter ones."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    from pofx.kinds import PAD

    return pad_sequence([torch.tensor(row, dtype=torch.int64) for row in rows], batch_first=True, padding_value=PAD)


def write_texts(file: Path, texts: Sequence[str], rows: Sequence[dict[str, Any]], arrays: dict[str, Any]) -> None:
    """Write texts as .txt, one a line, or with a blank line between where one has several lines; as .jsonl, with all that `rows` say; or
    `arrays`, the first as .npy."""
    match file.suffix.lower():
        case ".txt":
            write(file, (joined(texts) + "\n").encode())
        case ".jsonl":
            write(file, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())
        case _:
            write_arrays(file, arrays, next(iter(arrays)))


def joined(texts: Sequence[str]) -> str:
    """Texts one under another, with a blank line between where one of them has several lines.

    Example:
        >>> joined(["one", "two"]), joined(["first line\\nsecond", "two"])
        ('one\\ntwo', 'first line\\nsecond\\n\\ntwo')
    """
    return ("\n\n" if any("\n" in text for text in texts) else "\n").join(texts)


FORMS = (*TEXTS, *ARRAYS)
