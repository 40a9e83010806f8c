"""Pairs: a source and what is to be made of it, the target x. Aligned files, tables of two columns, JSON lines, pictures with captions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pofx.data.cache import Store, packed
from pofx.data.contents import Contents
from pofx.data.sources.images import PICTURE_KEYS, Picture, decode, opener
from pofx.data.sources.lines import objects, read_lines
from pofx.data.sources.text import Lines, left_out, tokenised
from pofx.data.tokenizer import normal
from pofx.errors import UserError, nearest

Read = Contents | tuple[dict[str, dict[str, Lines]], list[str]]


def aligned(files: Mapping[str, tuple[Path, Path]]) -> tuple[dict[str, dict[str, Lines]], list[str]]:
    """The pairs of lines of two files for each part, (source, target)."""
    parts: dict[str, dict[str, Lines]] = {}
    problems = []
    for part, (source, target) in files.items():
        sides, blank = (read_lines(source), read_lines(target)), []
        if len(sides[0]) != len(sides[1]):
            counts = f"{source} has {len(sides[0])} lines and {target} {len(sides[1])}"
            alone = f"line {min(map(len, sides)) + 1} of the longer has no partner"
            raise UserError(f"{counts}: {alone}; make each line of one the partner of the line of the same number")
        parts[part] = {"x": Lines(target), "source": Lines(source)}
        for number, (of_source, of_target) in enumerate(zip(*sides, strict=True), 1):
            if of_source.strip() and of_target.strip():
                parts[part]["source"].add(of_source, number)
                parts[part]["x"].add(of_target, number)
            elif of_source.strip() or of_target.strip():
                path, other = (target, source) if of_source.strip() else (source, target)
                raise UserError(f"{path}: line {number} is blank, but that of {other} is not; fill it in, or remove the line from both")
            else:
                blank.append(number)
        if blank:
            problems.append(left_out(source, blank))
    return parts, problems


def two_columns(path: Path, source: str | None, target: str | None) -> tuple[dict[str, dict[str, Lines]], list[str]]:
    """The pairs of a file of columns between tabs: by default two, the source first.

    The file has no header, unless its first line is what `source` and `target` call the columns.
    """
    lines = read_lines(path)
    header = next(line for line in lines if line.strip()).split("\t")
    called = [name for name in (source, target) if name and not name.isdecimal()]
    headed, both = bool(called) and set(called) <= set(header), bool(source and target)
    if headed:
        source, target = (str(header.index(name) + 1) if name in called else name for name in (source, target))
    names = {"x": target or ("1" if source == "2" else "2"), "source": source or ("2" if target == "1" else "1")}
    parts, blank = {"x": Lines(path), "source": Lines(path)}, []
    width = 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            blank.append(number)
            continue
        cells = line.split("\t")
        width = width or len(cells)
        if len(cells) != width or width == 1:
            raise UserError(f"{path}: line {number} has {len(cells)} columns, and it must have {max(2, width)}, with a tab between any two")
        if width > 2 and not both:
            raise UserError(f"{path} has {width} columns: name which two are paired, as in --source 1 --target 2")
        if headed:
            headed, parts["x"].header = False, number
            continue
        for name, column in names.items():
            if not column.isdecimal() or not 1 <= int(column) <= width:
                flag = "--target" if name == "x" else "--source"
                raise UserError(
                    f"{path} has {width} columns, which go by their numbers, or by a first line that names them: "
                    f"pass {flag} with one from 1 to {width}, not {column!r}"
                )
            if not cells[int(column) - 1].strip():
                raise UserError(f"{path}: line {number} has nothing in column {column}; fill it in, or remove the line")
            parts[name].add(cells[int(column) - 1], number)
    return {"all": parts}, [left_out(path, blank)] if blank else []


def packed_text(spec: str, root: Path, files: list[Path], chosen: dict[str, Any], read: Callable[[Store], Read]) -> Contents:
    """Text in tokens, memory-mapped from its pack. `read` gives the contents; or texts to be made into tokens, and problems."""

    def contents(store: Store) -> Contents:
        found = read(store)
        return found if isinstance(found, Contents) else tokenised(found[0], spec, chosen, found[1])

    key = chosen | {"tokenizers": {name: tokenizer.sha256 for name, tokenizer in chosen["tokenizers"].items()}}
    return packed(spec, root, files, key, contents)


def pictures_named(path: Path, folder: Path, source: str | None) -> list[Path]:
    """The files of the pictures that a .jsonl file names, if they are the source; those that are there, below `folder`."""
    if source not in (None, *PICTURE_KEYS):
        return []
    named = {path.parent / str(line[key]) for _, line in objects(path) for key in PICTURE_KEYS if key in line}
    return sorted(picture for picture in named if picture.is_relative_to(folder) and picture.is_file())


def json_lines(path: Path, folder: Path, chosen: dict[str, Any], store: Store) -> Contents:
    """The texts under the key `target` of each line; and the source beside it: the text under the key `source`, or else the line's picture.

    Pictures in different folders that have one file name and one text form a group, as an emoji in several styles.

    Args:
        path: a .jsonl file
        folder: only lines with a picture below this folder are taken, where they have pictures
        chosen: source and target, how text is made into tokens, and how pictures are read
        store: pictures go into it
    """
    lines, target, source = list(objects(path)), chosen["target"], chosen["source"]
    if target is None:
        raise UserError(f"{path}: --source {source} needs a --target beside it, the key of the text that is learned")
    picture = None if source not in (None, *PICTURE_KEYS) else next((key for key in PICTURE_KEYS if key in lines[0][1]), None)
    if picture is not None:
        lines = [(n, line) for n, line in lines if (path.parent / str(line.get(picture))).is_relative_to(folder)]
        if not lines:
            raise UserError(f"{path} names no picture in {folder}")
    texts = {"x": target} | ({"source": source} if picture is None and source is not None else {})
    parts = {name: Lines(path) for name in texts}
    pictures: list[Picture] = []
    without: list[int] = []
    for number, line in lines:
        if picture is not None and line.get(target) == "":
            without.append(number)
            continue
        for name, key in {**texts, **({"picture": picture} if picture else {})}.items():
            value = line.get(key)
            if not isinstance(value, str) or not value.strip():
                what = f"nothing to read under {key!r}: fill it in" if key in line else f"no {key!r}; {nearest(key, line)}"
                raise UserError(f"{path}: line {number} has {what}")
            if name == "picture":
                pictures.append(Picture(value, opener(path.parent / value)))
            else:
                try:
                    parts[name].add(normal(value), number)
                except UserError as error:
                    raise UserError(f"{path}: line {number}, {key!r}: {error}") from None
    if picture is None:
        return tokenised({"all": parts}, str(path), chosen, [])
    kind, x, rows_kept, problems = decode({"all": pictures}, str(path), chosen, store, "source")
    if without:
        problems.append(left_out(path, without, f"without {target}"))
    if len(rows_kept["all"]) < len(pictures):
        texts_of, numbers_of = parts["x"].texts, parts["x"].numbers
        parts = {"x": Lines(path, [texts_of[row] for row in rows_kept["all"]], [numbers_of[row] for row in rows_kept["all"]])}
    names, known = [pictures[row].name for row in rows_kept["all"]], dict[tuple[str, str], int]()
    groups = [known.setdefault((Path(name).stem, text), len(known)) for name, text in zip(names, parts["x"].texts, strict=True)]
    contents = tokenised({"all": parts}, str(path), chosen, problems, groups if len(known) < len(groups) else ())
    contents.add("source", kind, x)
    contents.names = {"all": names}
    return contents
