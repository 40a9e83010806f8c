"""Splits and batches: what training and evaluation read.

A split is a few columns held as they are stored (uint8 pictures, float32 vectors); a batch is one vectorised read of each.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from pofx.data.batching import bucketed, order, positions
from pofx.data.ondisk import OnDisk
from pofx.errors import UserError
from pofx.kinds import Kind
from pofx.plan import Batch
from pofx.randomness import Noise, generator

if TYPE_CHECKING:
    from pofx.data.tokenizer import Tokenizer

Binarize = Literal["none", "threshold", "dynamic"]

IN_MEMORY = 2**30  # an array of fewer bytes is read into memory; of a longer one, or of rows that overlap, only the rows of a batch
BLOCK = 1024  # rows that share one generator in a fixed binarisation


class Column:
    """One field of one split.

    Args:
        kind: of the field
        values: as stored, (n, *kind.shape), an array or a memory map
        rows: which rows of `values` this split has, in its order; all of them when None
        group: fields of one group stay in step with each other
        binarize: how pictures become bits; "none" leaves them as they are
        key: what a fixed draw of "dynamic" is a function of
        levels: of the stored picture, when it is binarised; otherwise those of its kind

    Attributes:
        lengths: of each row, int64 (rows,), where they differ
        by_length: whether batches are of rows that are about as long
    """

    lengths: Tensor | None = None
    by_length = False

    def __init__(
        self,
        kind: Kind,
        values: np.ndarray,
        rows: np.ndarray | None = None,
        *,
        group: str = "",
        binarize: Binarize = "none",
        key: tuple = (),
        levels: int | None = None,
    ):
        self.kind, self.group, self.binarize, self.key = kind, group, binarize, key
        self.dtype: torch.dtype = getattr(torch, kind.dtype)
        self.levels = levels or (kind.levels if self.dtype == torch.float32 else 0)
        self.length = len(values) if rows is None else len(rows)
        self.stored: Tensor | None = None
        self.values, self.rows = values, rows
        self.source: Any = values
        overlap = len(values) > 0 and values.strides[0] < values[0].nbytes  # windows of a series
        if values.nbytes < IN_MEMORY and not overlap:
            self.stored = self._fetch(slice(None) if rows is None else rows)
        elif OnDisk.can(values):
            self.source = OnDisk(values)
        block_bytes = BLOCK * kind.size
        self._bits = functools.lru_cache(maxsize=max(4, 2**28 // block_bytes))(self._draw_bits)

    def __len__(self) -> int:
        return self.length

    def raw(self, rows: Tensor) -> Tensor:
        """The rows as stored, (len(rows), *shape)."""
        if self.stored is not None:
            return self.stored.index_select(0, rows)
        return self._fetch(rows.numpy() if self.rows is None else self.rows[rows.numpy()])

    def _fetch(self, where: np.ndarray | slice) -> Tensor:
        whole = np.int64 if self.dtype == torch.int64 else np.uint8 if self.values.dtype in (np.uint8, np.bool_) else np.float32
        return torch.from_numpy(np.array(self.source[where], dtype=whole, order="C"))

    def numbers(self, rows: Tensor) -> Tensor:
        """The rows before any binarisation: float32, pictures in [0, 1]; labels int64."""
        numbers = self.raw(rows).to(self.dtype)
        if self.stored is None and numbers.is_floating_point() and not numbers.isfinite().all():
            bad = int(rows[~numbers.flatten(1).isfinite().all(1)][0])
            raise UserError(f"row {bad} of the data has a number that is not finite: fix it or remove the row")
        return numbers.div_(self.levels - 1) if self.levels > 2 else numbers

    def read(self, rows: Tensor, noise: Noise | None = None, *, width: int | None = None) -> Tensor:
        """The rows as a model takes them. With `noise`, "dynamic" draws new bits; without, always the same ones.

        Where rows differ in length, the batch is `width` wide, by default as the longest of its rows.
        """
        if self.binarize == "none":
            return self.numbers(rows)
        if self.binarize == "threshold":
            return (self.numbers(rows) >= 0.5).to(self.dtype)
        if noise is not None:
            uniform = noise.uniform(*self.kind.shape)
            return (uniform < self.numbers(rows).to(uniform.device)).to(uniform.dtype)
        bits = torch.empty(len(rows), *self.kind.shape)
        block = rows // BLOCK
        for number in block.unique().tolist():
            here = block == number
            bits[here] = self._bits(number)[rows[here] - number * BLOCK].to(self.dtype)
        return bits

    def _draw_bits(self, block: int) -> Tensor:
        # A whole block is drawn even when it is not full, so that a row's bits depend on its number alone.
        rows = torch.arange(block * BLOCK, min((block + 1) * BLOCK, self.length))
        uniform = torch.rand(BLOCK, *self.kind.shape, generator=generator(("binarize", *self.key, block)))
        return uniform[: len(rows)] < self.numbers(rows)


class Split:
    """Rows of named columns.

    Columns of different groups are unpaired: each group has an order, and a length, of its own. The split's length is the
    longest group's; where rows are read in turn, a shorter group starts again from its first row.

    Args:
        columns: name -> column
        names: what each row is called, where rows have names: the file that it is from, or the time of a window's first step
        source: which row of the person's file, from 0, each row is, where that is not said by the rows of the columns

    Example:
        >>> from pofx.kinds import Vector
        >>> split = Split({"x": Column(Vector(2), np.arange(8.0).reshape(4, 2))})
        >>> split.read([3, 0])["x"]
        tensor([[6., 7.],
                [0., 1.]])
        >>> sorted(split.batch(0, 4, seed=1)["x"][:, 0].tolist())
        [0.0, 2.0, 4.0, 6.0]
    """

    def __init__(self, columns: Mapping[str, Column], names: Sequence[str] = (), source: np.ndarray | None = None):
        self.columns, self.names, self.source = dict(columns), names, source
        self.groups: dict[str, int] = {}
        for name, column in self.columns.items():
            if self.groups.setdefault(column.group, len(column)) != len(column):
                raise UserError(f"field {name!r} has {len(column)} rows, but other fields of its group have {self.groups[column.group]}")

    def __len__(self) -> int:
        return max(self.groups.values())

    def require_paired(self, *names: str) -> None:
        """Raise a UserError unless a row of these columns is one example throughout."""
        for name in names:
            if (group := self.columns[name].group) != self.columns[names[0]].group:
                own = ", ".join(other for other, column in self.columns.items() if column.group == group and other != name)
                raise UserError(
                    f"in this split {name} is known of {own} only, {self.groups[group]} rows: use another split, or remove --labelled"
                )

    def by_length(self) -> Tensor:
        """All rows, int64 (n,): sequences that are about as long beside each other, so that reading them in turn pads little."""
        lengths = [column.lengths for column in self.columns.values() if column.lengths is not None and len(column) == len(self)]
        return torch.stack(lengths).sum(0).argsort(stable=True) if lengths else torch.arange(len(self))

    def read(self, rows: np.ndarray | Tensor | Sequence[int], noise: Noise | None = None) -> Batch:
        """The batch of these rows, each field float32 (B, *shape) or int64 (B,), one vectorised read a field.

        Args:
            rows: int64 (B,), from 0 to len - 1
            noise: what dynamic binarisation is drawn from in training; without it the draw is a function of (split seed, row)
        """
        rows = torch.as_tensor(rows, dtype=torch.int64)
        return {name: column.read(rows if len(column) == len(self) else rows % len(column), noise) for name, column in self.columns.items()}

    def batch(self, number: int, size: int, *, seed: int, cut: slice | None = None, noise: Noise | None = None) -> Batch:
        """Batch `number` of the endless shuffled stream: positions number * size to (number + 1) * size of the epochs' orders.

        Args:
            number: from 0, never ends
            size: of the whole batch, over all replicas
            seed: of the order
            cut: this replica's rows of the batch; all of them when None
            noise: as in `read`
        """
        rows = self.rows(number, size, seed=seed)
        mine = cut or slice(None)
        widths = {
            name: None if column.lengths is None else int(column.lengths[rows[column.group]].max()) for name, column in self.columns.items()
        }
        return {name: column.read(rows[column.group][mine], noise, width=widths[name]) for name, column in self.columns.items()}

    def rows(self, number: int, size: int, *, seed: int) -> dict[str, Tensor]:
        """The rows that the whole of batch `number` is of: group -> int64 (size,). Rows of sequences come with others about as long."""
        found = {}
        for group, length in self.groups.items():
            columns = [column for column in self.columns.values() if column.group == group and column.by_length]
            lengths = tuple(column.lengths for column in columns if column.lengths is not None)

            def order_of(epoch: int, length: int = length, group: str = group, lengths: tuple[Tensor, ...] = lengths) -> Tensor:
                return bucketed(lengths, size, seed, group, epoch) if lengths else order(length, seed, group, epoch)

            found[group] = positions(number * size, (number + 1) * size, length, order_of)
        return found


@dataclass(frozen=True)
class Data:
    """Named splits of named, typed fields.

    Attributes:
        fields: name -> kind
        splits: "train", "valid" (always there) and "test" (where the source gives or leaves one)
        record: JSON-able: the spec and every option, rows per split, SHA-256 of the source
        problems: what is odd about the source, by file name
        pack: the folder of packed arrays that it is read from, if it is packed
        tokenizers: field of text -> what made it into tokens
        begins: split of running text -> the line of its file, and the character of that line, that it begins with, both from 1
    """

    fields: dict[str, Kind]
    splits: dict[str, Split]
    record: dict[str, Any]
    problems: list[str] = field(default_factory=list)
    pack: Path | None = None
    tokenizers: dict[str, Tokenizer] = field(default_factory=dict)
    begins: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def groups(self) -> dict[str, str]:
        """Field -> the group of fields whose order it shares."""
        return {name: column.group for name, column in self.splits["train"].columns.items()}
