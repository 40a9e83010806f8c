"""What a source holds before it is split: arrays as they are stored, with their kinds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pofx.errors import UserError
from pofx.kinds import Kind

if TYPE_CHECKING:
    from pofx.data.tokenizer import Tokenizer

PARTS = ("train", "valid", "test")
SCAN = 2**30  # arrays of more bytes than this are never read whole, so nothing that needs all their values is found out


@dataclass
class Contents:
    """What a source holds.

    Attributes:
        fields: name -> kind
        parts: "all", or the source's own "train" and perhaps "valid" and "test" -> name -> array (n, *shape); sequences of tokens
            are `Ragged`, and running text is one array of all of them
        sha256: of the source
        sha256_of: what exactly the hash was taken of
        problems: by file name
        shuffled: whether train comes in no particular order, so that by custom its end is the validation split
        names: part -> what each row is called: the file that it is from, or the time of a step
        groups: what each row of "all" shows, numbered from 0, where several rows form a group: no split has what another has
        columns: of a table, those that make x
        pack: the folder that the arrays are memory-mapped from, if they are packed
        tokenizers: field of text -> what made it into tokens
        begins: part of running text -> the line of its file, and the character of that line, that it begins with, both from 1
        rows: part -> which row of the person's file, from 0, each of its rows is, int64 (n,); only of parts that something was left out of
    """

    fields: dict[str, Kind]
    parts: dict[str, dict[str, Any]]
    sha256: str = ""
    sha256_of: str = ""
    problems: list[str] = field(default_factory=list)
    shuffled: bool = False
    pack: Path | None = None
    names: dict[str, list[str]] = field(default_factory=dict)
    groups: list[int] = field(default_factory=list)
    columns: tuple[str, ...] = ()
    tokenizers: dict[str, Tokenizer] = field(default_factory=dict)
    begins: dict[str, tuple[int, int]] = field(default_factory=dict)
    rows: dict[str, np.ndarray] = field(default_factory=dict)

    def number(self, part: str, rows: Sequence[int] | np.ndarray) -> None:
        """Says which row of the person's file, from 0, each row of `part` is; those that are all of them in order need no word."""
        if not np.array_equal(rows, np.arange(len(rows))):
            self.rows[part] = np.asarray(rows, dtype=np.int64)

    def add(self, name: str, kind: Kind, arrays: dict[str, np.ndarray]) -> None:
        """Adds a field, from its array in each part."""
        self.fields[name] = kind
        for part, array in arrays.items():
            self.parts[part][name] = array


def typed(name: str, arrays: dict[str, np.ndarray], source: str) -> tuple[Kind, dict[str, np.ndarray]]:
    """The kind of the field `name` and its arrays, (n, *kind.shape), for the arrays of each part.

    | array | kind |
    |---|---|
    | bool, or uint8 of only 0 and 1 | `Binary`; (n, h, w) is `Binary(1, h, w)` |
    | uint8 (n, h, w), (n, h, w, c), (n, c, h, w) with 1 or 3 channels | `Image` |
    | numbers (n,), (n, d) | `Vector`; (n, length, channels) is `Series` |
    | text (n,), and whole numbers (n,) named `label` | `Category` |

    Example:
        >>> typed("x", {"all": np.zeros((5, 28, 28), np.uint8) + 7}, "example")[0]
        Image(channels=1, height=28, width=28, levels=256)
    """
    shapes = {array.shape[1:] for array in arrays.values()}
    if len(shapes) > 1:
        raise UserError(f"{source}: the parts of {name!r} have different shapes: {', '.join(map(str, sorted(shapes)))}")
    (shape,), some = shapes, next(iter(arrays.values()))
    numbers = some.dtype.kind in "biuf"
    if numbers and len(shape) == 2 and some.dtype.kind in "bu":
        arrays = {part: array[:, None] for part, array in arrays.items()}
    elif numbers and len(shape) == 3 and shape[-1] in (1, 3) and shape[0] not in (1, 3):
        arrays = {part: array.transpose(0, 3, 1, 2) for part, array in arrays.items()}
    whole = sum(array.nbytes for array in arrays.values()) < SCAN
    for cls in sorted(Kind.known.values(), key=lambda cls: cls.claim_order):
        try:
            claimed = cls.claims(name, arrays, whole=whole)
        except UserError as error:
            raise UserError(f"{source}: {name!r} {error}") from None
        if claimed is not None:
            return claimed
    if not numbers:
        raise UserError(f"{source}: {name!r} has numbers of type {some.dtype}; save it as uint8 or float32")
    raise UserError(f"{source}: {name!r} has {some.ndim} dimensions; pictures are (n, height, width, channels)")
