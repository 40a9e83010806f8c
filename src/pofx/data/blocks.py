"""Reading a split in fixed blocks, so that no measure depends on a batch size."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pofx.errors import UserError

BLOCK = 100


def chosen_rows(split: Any, rows: int | np.ndarray | None, *, least: int = 2) -> np.ndarray:
    """The rows' numbers, int64: all, the first so many, or those given. At least two, where the score has a standard error.

    Example:
        >>> chosen_rows(range(10), 3)
        array([0, 1, 2])
    """
    total = len(split)
    if rows is None or isinstance(rows, int):
        count = total if rows is None else rows
        if not least <= count <= total:
            raise UserError(f"rows must be between {least} and the split's {total}, not {count}")
        return np.arange(count, dtype=np.int64)
    chosen = np.asarray(rows, dtype=np.int64)
    if chosen.ndim != 1 or len(chosen) < least or chosen.min() < 0 or chosen.max() >= total:
        raise UserError(f"rows must be {least} or more row numbers from 0 to {total - 1}")
    return chosen


def rows_record(rows: np.ndarray) -> dict[str, Any]:
    """What a protocol says of the rows: how many from the first, and the hash of their numbers if they are others.

    Example:
        >>> rows_record(np.arange(3)), list(rows_record(np.array([4, 2])))
        ({'rows': 3}, ['rows', 'row_numbers_sha256'])
    """
    if (rows == np.arange(len(rows))).all():
        return {"rows": len(rows)}
    return {"rows": len(rows), "row_numbers_sha256": hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest()}


def blocks(split: Any, rows: np.ndarray, device: torch.device, *, start: int = 0) -> Iterator[tuple[int, dict[str, Tensor]]]:
    """Number and batch of every block of `BLOCK` rows, from block `start`; the last may be smaller."""
    for number in range(start, -(-len(rows) // BLOCK)):
        batch = split.read(rows[number * BLOCK : (number + 1) * BLOCK])
        yield number, {name: field.to(device) for name, field in batch.items()}


Progress = Callable[[int, int], None]
