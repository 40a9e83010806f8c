"""Files of lines: text in UTF-8, and JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pofx.data.tokenizer import normal
from pofx.errors import UserError


def decoded(content: bytes, name: Path | str) -> str:
    """Text in UTF-8 as it is written, without a byte order mark. `name` is what it is called in errors."""
    try:
        return content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        offset = f"byte {error.start} (line {line}) is 0x{content[error.start]:02x}"
        raise UserError(f"{name} is not text in UTF-8: {offset}, {error.reason}; save it as UTF-8") from None


def cut(text: str, name: Path | str) -> list[str]:
    """The lines of a text without their ends. Only a line feed ends a line, so that they are those that other programs count."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    if not any(line.strip() for line in lines):
        raise UserError(f"{name} is empty: it has no line with text in it")
    return [line.removesuffix("\r") for line in lines]


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, in Unicode's form NFC."""
    return normal(decoded(path.read_bytes(), path))


def read_lines(path: Path) -> list[str]:
    """The lines of a text file, as `cut` has them."""
    return cut(read_text(path), path)


def objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The number and the object of each line of a file of JSON lines that is not blank."""
    for number, text in enumerate(cut(decoded(path.read_bytes(), path), path), 1):
        if not text.strip():
            continue
        try:
            line = json.loads(text)
        except ValueError as error:
            raise UserError(f"{path}: line {number} is not JSON ({error})") from None
        if not isinstance(line, dict):
            raise UserError(f'{path}: line {number} is no object; write {{"key": "text", ...}}')
        yield number, line
