"""Sequences of different lengths: how they are stored and read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pofx.data.columns import IN_MEMORY, Column
from pofx.kinds import Tokens
from pofx.randomness import Noise


@dataclass(frozen=True)
class Ragged:
    """Sequences of different lengths, one after another in one array.

    Args:
        flat: all their tokens, without EOS, (N,)
        offsets: where each begins, and the last one ends, (n + 1,)
    """

    flat: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @staticmethod
    def of(flat: np.ndarray, offsets: np.ndarray, vocabulary: int) -> Ragged:
        """The same in the least room."""
        return Ragged(flat.astype(np.uint16 if vocabulary <= 2**16 else np.int32), offsets)


class Sequences(Column):
    """A column of sequences of tokens. Batches are int64 (B, L): each sequence, its EOS, and PAD up to the longest of the batch.

    Args:
        kind: of the field
        stored: the sequences of the part that the split is of
        rows: which of them this split has, in its order; all of them when None
        group: as in `Column`
        by_length: whether batches are of rows that are about as long

    Example:
        >>> stored = Ragged(np.array([2, 3, 4, 5, 6]), np.array([0, 2, 5, 5]))
        >>> Sequences(Tokens(7, 9), stored).read(torch.tensor([1, 0, 2]))
        tensor([[4, 5, 6, 1],
                [2, 3, 1, 0],
                [1, 0, 0, 0]])
    """

    def __init__(self, kind: Tokens, stored: Ragged, rows: np.ndarray | None = None, *, group: str = "", by_length: bool = True):
        super().__init__(kind, stored.flat[:0], group=group)
        self.eos, self.pad = kind.eos, kind.pad
        self.values, self.rows, self.by_length = stored.flat, rows, by_length
        self.flat = np.array(stored.flat) if stored.flat.nbytes < IN_MEMORY else stored.flat
        begin: Any = np.asarray(stored.offsets[:-1])
        end: Any = np.asarray(stored.offsets[1:])
        self.begin, self.end = (begin, end) if rows is None else (begin[rows], end[rows])
        self.lengths: Tensor = torch.from_numpy(self.end - self.begin + 1)  # with EOS
        self.length = len(self.lengths)

    def read(self, rows: Tensor, noise: Noise | None = None, *, width: int | None = None) -> Tensor:
        """The rows as a model takes them, `width` wide (by default as the longest of them)."""
        begin, end = self.begin[rows.numpy()][:, None], self.end[rows.numpy()][:, None]
        width = int(self.lengths[rows].max()) if width is None else width
        places = begin + np.arange(width)
        found = self.flat[np.minimum(places, max(len(self.flat) - 1, 0))].astype(np.int64) if len(self.flat) else np.zeros_like(places)
        return torch.from_numpy(np.where(places < end, found, np.where(places == end, self.eos, self.pad)))
