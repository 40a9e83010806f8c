"""Rows of arrays that are longer than memory."""

from __future__ import annotations

import os
from typing import TypeGuard

import numpy as np
from numpy.lib.array_utils import byte_bounds

from pofx.errors import UserError


class OnDisk:
    """Rows of a long memory-mapped array, fetched with one read each.

    Indexing the map itself is no faster, and every page that it touches is counted as this process's memory from then on: an epoch of
    random rows would map the whole file.

    Args:
        values: a view of a `numpy.memmap` (n, *shape); its rows lie whole and in order in the file (as in any .npy of C order), the
            axes of a row in any order
    """

    def __init__(self, values: np.memmap):
        whole = values
        while isinstance(whole.base, np.memmap):
            whole = whole.base
        self.path = str(whole.filename)
        self.file = open(self.path, "rb", buffering=0)  # noqa: SIM115  (open as long as this object lives)
        self.begin = whole.offset + byte_bounds(values)[0] - byte_bounds(whole)[0]
        self.stride, self.bytes = values.strides[0], values[0].nbytes
        self.shape, self.strides, self.dtype = values.shape[1:], values.strides[1:], values.dtype

    @staticmethod
    def can(values: np.ndarray) -> TypeGuard[np.memmap]:
        """Whether `values` is such a view."""
        if not isinstance(values, np.memmap) or min(values.strides) < 0:
            return False
        low, high = byte_bounds(values[0])
        return high - low == values[0].nbytes == values.strides[0]

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """The rows (B,) of the array, (B, *shape)."""
        file = self.file.fileno()
        buffer = b"".join([os.pread(file, self.bytes, self.begin + row * self.stride) for row in rows.tolist()])
        if len(buffer) < len(rows) * self.bytes:
            raise UserError(f"{self.path} has become shorter since it was opened: put it back")
        return np.ndarray((len(rows), *self.shape), self.dtype, buffer, strides=(self.bytes, *self.strides))
