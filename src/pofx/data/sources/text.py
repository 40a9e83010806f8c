"""Text: files of lines, each an example, or of running text; read, cut into splits, and made into tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from pofx.data.contents import PARTS, Contents
from pofx.data.sequences import Ragged
from pofx.data.sources.images import PART_FOLDERS
from pofx.data.sources.lines import read_lines, read_text
from pofx.data.splitting import CUSTOMARY, Rows, cut
from pofx.data.tokenizer import Tokenizer
from pofx.errors import TooFewRows, UserError
from pofx.kinds import Tokens

OPTIONS = ("tokens", "vocabulary", "length", "shared")  # how text is made into tokens
VOCABULARY = 8000  # of words or bpe, unless another is asked for


def resolved(chosen: dict[str, Any]) -> dict[str, Any]:
    """`chosen` with what is customary where nothing was said of tokens and vocabulary."""
    tokens = chosen["tokens"] or "characters"
    return chosen | {"tokens": tokens, "vocabulary": None if tokens == "characters" else chosen["vocabulary"] or VOCABULARY}


@dataclass
class Lines:
    """The texts of one field in one part of a source.

    Attributes:
        file: they are from
        texts: in Unicode's form NFC
        numbers: of each text's line, from 1
        header: the line of the columns' names, where there is one: rows are counted from the next
    """

    file: Path
    texts: list[str] = field(default_factory=list, repr=False)
    numbers: list[int] = field(default_factory=list, repr=False)
    header: int = 0

    def where(self, row: int) -> str:
        return f"{self.file}: line {self.numbers[row]}"

    def add(self, text: str, number: int) -> None:
        self.texts.append(text)
        self.numbers.append(number)


def is_text(path: Path) -> bool:
    """Whether a file of an unknown form begins as text does, in whatever encoding: other files soon have a byte of zeros."""
    with path.open("rb") as file:
        return b"\0" not in file.read(2**16)


def parted(files: list[Path]) -> dict[str, dict[str, Path]]:
    """What follows the first dot of a file's name -> part -> file, for those whose name begins with that of a part: train.de, val.de.

    Example:
        >>> parted([Path("train.de"), Path("val.de"), Path("train.tok.en"), Path("notes.txt")])
        {'de': {'train': PosixPath('train.de'), 'valid': PosixPath('val.de')}, 'tok.en': {'train': PosixPath('train.tok.en')}}
    """
    found: dict[str, dict[str, Path]] = {}
    for path in files:
        part, _, ending = path.name.partition(".")
        if part.lower() in PART_FOLDERS and ending:
            found.setdefault(ending, {})[PART_FOLDERS[part.lower()]] = path
    return {ending: parts for ending, parts in found.items() if "train" in parts}


def one_a_line(files: Mapping[str, Path]) -> tuple[dict[str, dict[str, Lines]], list[str]]:
    """The examples of text files, one a line, in each part; and what was left out of them."""
    parts: dict[str, dict[str, Lines]] = {}
    problems = []
    for part, path in files.items():
        lines, blank = Lines(path), []
        for number, line in enumerate(read_lines(path), 1):
            if line.strip():
                lines.add(line, number)
            else:
                blank.append(number)
        parts[part] = {"x": lines}
        if blank:
            problems.append(left_out(path, blank))
    return parts, problems


def left_out(path: Path, lines: list[int], why: str = "blank") -> str:
    """That lines were left out, and why."""
    shown = ", ".join(map(str, lines[:5])) + (", ..." if len(lines) > 5 else "")
    return f"{path.name}: {len(lines)} {'line' if len(lines) == 1 else 'lines'} left out, {why} (line {shown})"


def tokenised(
    parts: dict[str, dict[str, Lines]], source: str, chosen: dict[str, Any], problems: list[str], groups: Sequence[int] = ()
) -> Contents:
    """Examples made into tokens.

    Args:
        parts: part -> field -> its texts, as many of each field
        source: for messages
        chosen: `OPTIONS`; tokenizers, to use instead of new ones, and lengths that they go with; and how the splits are cut, for a
            tokenizer is learned from the text that is trained on (an alphabet from all there is)
        problems: that were met so far
        groups: as in `cut`
    """
    sizes = {part: len(fields["x"].texts) for part, fields in parts.items()}
    whole = chosen["uncut"] and "all" in sizes
    trained, rows = "all", None
    if not whole:
        trained, rows = cut(sizes, chosen["valid"], chosen["test"], chosen["split_seed"], source, groups=groups)["train"]
    names = list(parts[trained])
    contents = Contents({}, {part: {} for part in parts}, problems=problems, groups=list(groups))
    for part, fields in parts.items():
        contents.number(part, np.array(fields["x"].numbers) - fields["x"].header - 1)
    if chosen["shared"] and len(names) == 1:
        raise UserError(f"{source}: --shared is for two sides of text, source and target: remove it")

    def learned_from(name: str) -> list[str]:
        if chosen["tokens"] == "characters":
            return [text for fields in parts.values() for text in fields[name].texts]
        texts = parts[trained][name].texts
        return texts if rows is None else [texts[row] for row in rows]

    for name in names:
        known = chosen["tokenizers"] | (contents.tokenizers if chosen["shared"] else {})
        if name in known or (chosen["shared"] and known):
            contents.tokenizers[name] = known.get(name) or next(iter(known.values()))
        else:
            texts = [text for each in (names if chosen["shared"] else [name]) for text in learned_from(each)]
            contents.tokenizers[name] = Tokenizer.train(chosen["tokens"], texts, chosen["vocabulary"])
    lengths: dict[tuple[str, str], np.ndarray] = {}  # with EOS
    for name, tokenizer in contents.tokenizers.items():
        for part, fields in parts.items():
            flat, offsets = encoded(tokenizer, fields[name])
            contents.parts[part][name] = Ragged.of(flat, offsets, tokenizer.vocabulary)
            lengths[part, name] = np.diff(offsets) + 1
    for name, tokenizer in contents.tokenizers.items():
        own = lengths[trained, name] if rows is None else lengths[trained, name][rows]
        all_of_it = [lengths[part, name] for part in parts]
        limits = [limit for limit in (chosen["length"], chosen["lengths"].get(name)) if limit]
        length = min(limits) if limits else int(max(2 * own.max(), *(some.max() for some in all_of_it)))
        for part, some in zip(parts, all_of_it, strict=True):
            if some.max() > length:
                row = int((some > length).argmax())
                what = f"{parts[part][name].where(row)} has {some[row]} tokens with its EOS, more than --length {length}"
                longer = "" if name in chosen["tokenizers"] else f", or pass --length {some.max()}"  # a trained model takes no longer one
                raise UserError(f"{what}: shorten it{longer}")
        contents.fields[name] = Tokens(tokenizer.vocabulary, length, tokenizer=tokenizer.sha256, masked=tokenizer.masked)
    return contents


def running(files: Mapping[str, Path], source: str, chosen: dict[str, Any]) -> Contents:
    """Running text made into tokens: one array of them in each split, that follow each other in the text.

    Args:
        files: "all", or train and perhaps valid and test -> file
        source: for messages
        chosen: as in `tokenised`; valid and test are fractions of the characters
    """
    texts = {part: read_text(path) for part, path in files.items()}
    for part, text in texts.items():
        if not text.strip():
            raise UserError(f"{files[part]} is empty: there is no text in it")
    begins = dict.fromkeys(texts, 0)  # character of the file that a split begins with
    of = dict(files)
    if not (chosen["uncut"] and "all" in texts):
        texts, begins, of = _cut_text(texts, dict(files), source, chosen)
    tokenizer = chosen["tokenizers"].get("x")
    if tokenizer is None:
        learned_from = list(texts.values()) if chosen["tokens"] == "characters" else [next(iter(texts.values()))]
        tokenizer = Tokenizer.train(chosen["tokens"], learned_from, chosen["vocabulary"])
    contents = Contents({"x": Tokens(tokenizer.vocabulary, 1, ends=False, tokenizer=tokenizer.sha256, masked=tokenizer.masked)}, {})
    contents.tokenizers = {"x": tokenizer}
    for part, text in texts.items():
        before = read_text(of[part])[: begins[part]] if begins[part] else ""
        contents.begins[part] = (before.count("\n") + 1, len(before) - before.rfind("\n"))
        try:
            flat = tokenizer.encode_all([text])[0]
        except UserError:
            lines = text.split("\n")
            encoded(tokenizer, Lines(of[part], lines, [contents.begins[part][0] + i for i in range(len(lines))]))  # the line that it is in
            raise
        contents.parts[part] = {"x": flat.astype(np.uint16 if tokenizer.vocabulary <= 2**16 else np.int32)}
    return contents


def _cut_text(
    texts: dict[str, str], of: dict[str, Path], source: str, chosen: dict[str, Any]
) -> tuple[dict[str, str], dict[str, int], dict[str, Path]]:
    """Split -> its text, the place in the file that it begins at, the file: train, then valid, then test, where they are cut from one."""
    for name in ("valid", "test"):
        if name in texts and chosen[name] is not None:
            raise UserError(f"{source} has its own {name} split: remove --{name}")
    if chosen["valid"] == 0:
        raise UserError(f"{source}: --valid must be above 0: a model is chosen on its validation split, so there always is one")
    begins = dict.fromkeys(texts, 0)
    valid = 0.0 if "valid" in texts else CUSTOMARY if chosen["valid"] is None else chosen["valid"]
    test = 0.0 if "test" in texts else chosen["test"] if chosen["test"] is not None else CUSTOMARY if "all" in texts else 0.0
    first = "all" if "all" in texts else "train"
    whole = texts[first]
    ends = [0, int(len(whole) * (1 - valid - test)), int(len(whole) * (1 - test)), len(whole)]
    pieces = {name: (ends[i], ends[i + 1]) for i, name in enumerate(PARTS) if name not in texts or name == first}
    for name, (begin, end) in pieces.items():
        if begin < end:
            texts[name], begins[name], of[name] = whole[begin:end], begin, of[first]
    if "train" not in texts or "valid" not in texts:
        shown = ", ".join(f"{max(0, end - begin)} for {name}" for name, (begin, end) in pieces.items())
        raise TooFewRows(f"{source}: its {len(whole)} characters are cut into {shown}; change --valid or --test, or add text")
    return {name: texts[name] for name in PARTS if name in texts}, begins, of


def windows(contents: Contents, window: int, stride: int | None, spec: str) -> Rows:
    """The examples of running text: every `window` tokens in a row of each part become its rows, a view that costs nothing.

    Returns:
        split -> its part, and the rows of it that begin `stride` tokens apart: by default 1 where it is trained on, else a window, for a
        loss over windows that overlap tells no more

    Raises:
        TooFewRows: a part is shorter than a window
    """
    rows = Rows()
    contents.fields["x"] = replace(cast(Tokens, contents.fields["x"]), length=window, ends=False)
    for part, fields in contents.parts.items():
        if len(fields["x"]) < window:
            where = spec if part == "all" else f"{spec}: its {part} split"
            raise TooFewRows(
                f"{where} has {len(fields['x'])} tokens, fewer than a window of {window}: pass a shorter --window, or add text"
            )
        fields["x"] = np.lib.stride_tricks.sliding_window_view(fields["x"], window)
        rows[part] = (part, np.arange(0, len(fields["x"]), stride or (1 if part == "train" else window)))
    return rows


def encoded(tokenizer: Tokenizer, lines: Lines) -> tuple[np.ndarray, np.ndarray]:
    """The tokens of all lines, as `Tokenizer.encode_all` has them; an error names the line."""
    try:
        return tokenizer.encode_all(lines.texts)
    except UserError as error:
        for row, text in enumerate(lines.texts):
            try:
                tokenizer.encode(text)
            except UserError as of_line:
                raise UserError(f"{lines.where(row)}: {of_line}; remove it, or use a tokenizer that knows it") from None
        raise error
