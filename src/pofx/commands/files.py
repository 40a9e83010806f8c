"""Files that verbs write: checked before the work, written whole or not at all; texts that take long, as they come."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pofx.errors import UserError
from pofx.session import Arrays, Film, Table, TextFile

if TYPE_CHECKING:
    import numpy as np

    from pofx.kinds import Kind
    from pofx.session import Session


ARRAYS = (".npy", ".npz")
TEXTS = (".txt", ".jsonl")
TABLES = (".csv", ".parquet")


def destination(out: str | Path, suffixes: tuple[str, ...], flag: str = "--out") -> Path:
    """`out`, which `flag` gives, as a path that can be written; a UserError now rather than after the work."""
    path = Path(out)
    if path.suffix.lower() not in suffixes:
        raise UserError(f"{flag} {out}: the name must end in {' or '.join(suffixes)}, which says what to write")
    if path.is_dir():
        raise UserError(f"{flag} {out} is a folder: name a file in it")
    there = path.parent
    while not there.exists():
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise UserError(f"{flag} {out}: {there} cannot be written to; choose another place")
    return path


def write(file: Path, content: bytes) -> None:
    """Write `content`, making the folders above it."""
    from pofx.run import explained, write_whole

    with explained(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, content)


@contextmanager
def growing(file: Path) -> Iterator[Callable[[str], None]]:
    """What adds text to a file that is begun anew, making the folders above it: what is there is kept, should the work be stopped."""
    from pofx.run import explained

    with explained(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        opened = file.open("w", encoding="utf-8", newline="")

    def add(text: str) -> None:
        with explained(file):
            opened.write(text)
            opened.flush()

    with opened:
        yield add


def strip_forms(kind: Kind) -> tuple[str, ...]:
    """Endings of files for several rows of examples: numbers, and a picture of what is drawn."""
    return ARRAYS if kind.printed else (".png", *ARRAYS)


def any_form(kind: Kind) -> tuple[str, ...]:
    """Those of the endings that a kind's examples are written to, which need no kind."""
    return tuple(form for form in kind.endings if form in (".png", *ARRAYS, *TEXTS))


def save(file: Path, artefact: Any) -> None:
    """Write what a verb found out, as the file's ending says: the same, the same bytes.

    Args:
        file: where to
        artefact: a picture, `Arrays`, a `Table`, a `Film`, a `TextFile`, or the content itself

    Raises:
        ValueError: the ending is of another form
    """
    buffer, form = io.BytesIO(), file.suffix.lower()
    forms = {Arrays: ARRAYS, Table: TABLES, Film: (".gif",), TextFile: TEXTS, bytes: (form,)}.get(type(artefact), (".png",))
    if form not in forms:
        raise ValueError(f"{file} cannot hold {type(artefact).__name__}, which is for {' or '.join(forms)}")
    match artefact:
        case bytes():
            buffer.write(artefact)
        case Arrays(values, main):
            import numpy as np

            np.save(buffer, values[main], allow_pickle=False) if form == ".npy" else np.savez(buffer, **values)
        case Table(columns):
            import pyarrow as pa
            from pyarrow import csv, parquet

            (csv.write_csv if form == ".csv" else parquet.write_table)(pa.table(columns), buffer)
        case Film((first, *others), durations):  # that begins again and again
            first.save(buffer, "GIF", save_all=True, append_images=others, duration=durations, loop=0, optimize=True)
        case TextFile(values, about):
            lines = [json.dumps(row, ensure_ascii=False) for row in about] if form == ".jsonl" else [joined(values)]
            buffer.write("".join(f"{line}\n" for line in lines).encode())
        case picture:
            picture.save(buffer, "PNG")
    write(file, buffer.getvalue())


def examples(
    file: Path,
    session: Session,
    x: np.ndarray,
    *,
    labels: dict[str, slice] | None = None,
    about: dict[str, Sequence[Any]] | None = None,
    columns: int | None = None,
) -> Any:
    """Examples of the model's x as what the file's ending says: drawn, as numbers, or as texts.

    Args:
        file: where they go
        session: whose x they are
        x: (N, *shape)
        labels: of rows of examples, where each is to have its own
        about: what else is known of each, as columns
        columns: of a picture without such rows
    """
    from pofx.render.pictures import grid, labelled_rows

    form = file.suffix.lower()
    if (content := session.kind.file_content(form, x, session.codec())) is not None:
        return content
    match form:
        case ".png" if labels is not None and columns is None:
            return labelled_rows({name: (x[some], session.kind) for name, some in labels.items()})
        case ".png":
            return grid(x, session.kind, columns=columns)
        case ".npy" | ".npz":
            return Arrays({"x": x, **(about or {})}, "x")
    texts = session.texts(x)
    return TextFile(
        texts, [dict(zip([*(about or {}), "text"], row, strict=True)) for row in zip(*(about or {}).values(), texts, strict=True)]
    )


def beside(file: Path, session: Session, rows: Mapping[str, np.ndarray], arrays: Arrays) -> Any:
    """The same examples in several states, one below the other, as what the file's ending says.

    Args:
        file: where they go
        session: whose x they are
        rows: label -> x (N, *shape)
        arrays: what an ending for numbers means
    """
    from pofx.render.pictures import labelled_rows

    match file.suffix.lower():
        case ".png":
            return labelled_rows({label: (x, session.kind) for label, x in rows.items()})
        case ".npy" | ".npz":
            return arrays
    said = zip(*map(session.texts, rows.values()), strict=True)
    return TextFile(side_by_side(session, rows), [dict(zip(rows, texts, strict=True)) for texts in said])


def side_by_side(session: Session, rows: Mapping[str, np.ndarray]) -> list[str]:
    """Of each example a text: a line a state, which begins with its label."""
    return labelled({label: session.texts(x) for label, x in rows.items()})


def labelled(states: Mapping[str, Sequence[str]]) -> list[str]:
    """Of each example a text: a line a state, which begins with its label.

    Example:
        >>> labelled({"original": ["a"], "copy": ["b"]})
        ['original  a\\ncopy      b']
    """
    width = 2 + max(map(len, states))
    lines = [[f"{label:<{width}}{text}" for text in texts] for label, texts in states.items()]
    return ["\n".join(some) for some in zip(*lines, strict=True)]


def joined(texts: Sequence[str]) -> str:
    """Texts one under another, with a blank line between where one of them has several lines.

    Example:
        >>> joined(["one", "two"]), joined(["first line\\nsecond", "two"])
        ('one\\ntwo', 'first line\\nsecond\\n\\ntwo')
    """
    return ("\n\n" if any("\n" in text for text in texts) else "\n").join(texts)
