"""Lines of text: where verbs read them, as a model takes them, and how texts are written."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pofx.errors import UserError
from pofx.verbs.files import ARRAYS, write, write_arrays

if TYPE_CHECKING:
    from torch import Tensor

    from pofx.data.tokenizing import Tokenizer
    from pofx.kinds import Tokens

TEXTS = (".txt", ".jsonl")


def given_lines(data: str | None, text: str | None) -> tuple[list[str], str]:
    """Lines of --text, of the file --data, or of standard input; and what they are called in errors.

    Raises:
        UserError: both are given; the file is not there, or is not text in UTF-8; there is no text
    """
    from pofx.data.lines import cut, decoded

    if text is not None:
        if data is not None:
            raise UserError("say --text or --data, not both")
        if not text.strip():
            raise UserError("--text is empty: write what to read")
        return text.split("\n"), "--text"
    if data is None:
        name, content = "standard input", sys.stdin.buffer.read()
    else:
        if not Path(data).is_file():
            raise UserError(f"there is no file {data}: name a text file, or give the text itself with --text")
        name, content = data, Path(data).read_bytes()
    return cut(decoded(content, name), name), name


def encoded(lines: Sequence[str], tokenizer: Tokenizer, kind: Tokens, name: str, *, of: str = "the model") -> list[list[int]]:
    """The tokens of each line, with its end mark where sequences have one.

    Args:
        lines: of text
        tokenizer: of the field
        kind: of the field
        name: of where the lines are from, for errors
        of: what takes them, for errors

    Raises:
        UserError: names a line that is longer than the kind allows, or that has a character outside the vocabulary
    """
    from pofx.kinds import END

    found = []
    for number, line in enumerate(lines, 1):
        where = f"{name}: line {number}" if len(lines) > 1 else name
        try:
            tokens = tokenizer.encode(line)
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
        found.append([*tokens, END] if kind.ends else tokens)
        if kind.ends and len(found[-1]) > kind.length:
            raise UserError(f"{where} has {len(found[-1])} tokens with its end mark, and {of} takes at most {kind.length}: shorten it")
    return found


def batch(rows: Sequence[Sequence[int]]) -> Tensor:
    """Sequences of tokens as one batch, int64 (B, L), with NOTHING behind the shorter ones."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    from pofx.kinds import NOTHING

    return pad_sequence([torch.tensor(row, dtype=torch.int64) for row in rows], batch_first=True, padding_value=NOTHING)


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
