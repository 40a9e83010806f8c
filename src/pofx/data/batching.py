"""Orders: how an epoch goes through the rows of a split, and batches of sequences of which little is padding."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from pofx.randomness import generator

# Batches' worth of rows that are cut by length together: many leave little padding, and an epoch of more of them stays quick to cut
POOL = 1000


@functools.lru_cache(maxsize=4)  # a batch at the end of an epoch needs two
def order(rows: int, seed: int, group: str, epoch: int) -> Tensor:
    """The order in which `epoch` goes through `rows` rows, int64 (rows,): a function of (seed, group, epoch).

    Example:
        >>> order(6, 0, "", 0).sort().values.tolist(), torch.equal(order(6, 0, "", 0), order(6, 0, "", 1))
        ([0, 1, 2, 3, 4, 5], False)
    """
    return torch.randperm(rows, generator=generator(("order", seed, group, epoch)))


def positions(start: int, stop: int, rows: int, order_of: Callable[[int], Tensor]) -> Tensor:
    """Positions `start` to `stop` of the endless stream, the epochs' orders one after another, int64 (stop - start,).

    Args:
        start: the first
        stop: the one after the last
        rows: in an epoch
        order_of: epoch -> its order

    Example:
        >>> orders = {epoch: order(6, 0, "", epoch) for epoch in range(2)}
        >>> torch.equal(positions(4, 8, 6, orders.get), torch.cat([orders[0][4:], orders[1][:2]]))
        True
    """
    pieces = []
    while start < stop:
        epoch, first = divmod(start, rows)
        last = min(rows, first + stop - start)
        pieces.append(order_of(epoch)[first:last])
        start += last - first
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces) if pieces else torch.empty(0, dtype=torch.int64)


@functools.lru_cache(maxsize=4)  # by the lengths' identity, which is theirs throughout
def bucketed(lengths: tuple[Tensor, ...], size: int, seed: int, group: str, epoch: int) -> Tensor:
    """The order in which `epoch` goes through rows of sequences, so that those of a batch are about as long, int64 (rows,).

    Like any other epoch, it is cut into batches as it lies in the endless stream, where a batch may end one epoch and begin the next;
    each row comes once. Within it, the rows are in random order; `POOL` batches' worth at a time are halved by length, and halved again,
    by the field whose lengths differ most, until each part is a batch; and the batches are shuffled.

    Args:
        lengths: of each ragged field, int64 (rows,)
        size: of a batch
        seed: of the order, as are `group` and `epoch`

    Example:
        >>> lengths = torch.tensor([9, 2, 5, 9, 2, 5])
        >>> bucketed((lengths,), 2, 0, "", 0).view(3, 2).apply_(lambda row: lengths[row]).sort(0).values.tolist()
        [[2, 2], [5, 5], [9, 9]]
    """
    rows = order(len(lengths[0]), seed, group, epoch)
    first = epoch * len(rows)  # where the epoch begins in the stream
    head = min(-first % size, len(rows))
    tail = (len(rows) - head) % size
    total = torch.stack(lengths).sum(0)
    # A batch across two epochs takes rows of about the same rank in both: the rank is a function of the border between them.
    rows, last = _taken(rows, total, tail, (seed, group, epoch + 1))
    rows, early = _taken(rows, total, head, (seed, group, epoch))
    table = torch.stack(lengths).numpy()
    whole = len(rows) // size
    pools = rows.split(-(-whole // -(-whole // POOL)) * size) if whole else ()  # as large as each other
    batches = [batch for pool in pools for batch in _halved(pool.numpy(), table, size)]
    shuffled = torch.randperm(len(batches), generator=generator(("batches", seed, group, epoch))).tolist()
    return torch.cat([early, *(torch.from_numpy(batches[i]) for i in shuffled), last])


def _taken(rows: Tensor, total: Tensor, count: int, border: tuple) -> tuple[Tensor, Tensor]:
    """`rows` without `count` of them that are about as long, and those; how long, is a function of `border`."""
    if count == 0:
        return rows, rows[:0]
    ranked = rows[total[rows].argsort(stable=True)]
    first = int(torch.rand((), generator=generator(("border", *border))) * (len(rows) - count + 1))
    taken = torch.zeros(len(total), dtype=torch.bool)
    taken[ranked[first : first + count]] = True
    return rows[~taken[rows]], rows[taken[rows]]


def _halved(rows: np.ndarray, lengths: np.ndarray, size: int) -> list[np.ndarray]:
    """`rows`, a multiple of `size`, in parts of that size: halved by the field (of those in `lengths`) that differs most among them."""
    if len(rows) == size:
        return [rows]
    field = lengths[:, rows].std(1).argmax()
    rows = rows[lengths[field, rows].argsort(kind="stable")]
    half = len(rows) // size // 2 * size
    return _halved(rows[:half], lengths, size) + _halved(rows[half:], lengths, size)


def padding(lengths: Sequence[Tensor], batches: Sequence[Tensor]) -> float:
    """The share of PAD in all numbers of `batches`.

    Args:
        lengths: of each ragged field, int64 (rows,)
        batches: the rows of each

    Example:
        >>> padding([torch.tensor([1, 2, 3, 2])], [torch.tensor([0, 1]), torch.tensor([2, 3])])
        0.2
    """
    full = sum(int(field[rows].max()) * len(rows) for rows in batches for field in lengths)
    return (full - sum(int(field[rows].sum()) for rows in batches for field in lengths)) / full
