"""Files that verbs write: checked before the work, written whole or not at all; texts that take long, as they come."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pofx.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image as Picture


ARRAYS = (".npy", ".npz")
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


def write_picture(file: Path, picture: Picture) -> None:
    """Write a picture as PNG; the same picture gives the same bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    write(file, buffer.getvalue())


def write_animation(file: Path, film: tuple[list[Picture], list[int]]) -> None:
    """Write pictures, and for how many milliseconds each is shown, as a GIF that begins again and again."""
    buffer = io.BytesIO()
    (first, *others), durations = film
    first.save(buffer, "GIF", save_all=True, append_images=others, duration=durations, loop=0, optimize=True)
    write(file, buffer.getvalue())


def write_arrays(file: Path, arrays: dict[str, Any], main: str) -> None:
    """Write arrays as .npz, or the one called `main` as .npy."""
    import numpy as np

    buffer = io.BytesIO()
    if file.suffix.lower() == ".npy":
        np.save(buffer, arrays[main], allow_pickle=False)
    else:
        np.savez(buffer, **arrays)
    write(file, buffer.getvalue())


def write_table(file: Path, columns: dict[str, Any]) -> None:
    """Write columns of equal length as .csv or .parquet."""
    import pyarrow as pa
    from pyarrow import csv, parquet

    table, buffer = pa.table(columns), io.BytesIO()
    if file.suffix.lower() == ".csv":
        csv.write_csv(table, buffer)
    else:
        parquet.write_table(table, buffer)
    write(file, buffer.getvalue())


def as_array(blocks: list[Any]) -> Any:
    import torch

    return torch.cat(blocks).float().cpu().numpy()
