"""What there is to say about a data set: fields, rows, classes, numbers, problems."""

from __future__ import annotations

import math
from typing import Any

import torch

from pofx.data.packing import damaged
from pofx.data.split import Column, Data
from pofx.kinds import Category

LOOKED_AT = 100_000  # rows of a split that its statistics are of; of a longer one, evenly spaced rows
ROWS = 1000  # read at a time


def describe(data: Data) -> dict[str, Any]:
    """A JSON-able account of `data`; a pack's SHA-256 are checked on the way.

    Returns:
        record, fields (name -> kind), splits (name -> rows, and fields -> classes or min, max, mean and how many rows were looked
        at), problems

    Example:
        >>> from pofx.data import load
        >>> account = describe(load("digits"))
        >>> account["splits"]["train"]["rows"], account["splits"]["train"]["fields"]["x"]["max"], account["problems"]
        (1437, 1.0, [])
    """
    problems = list(data.problems)
    if data.pack and (damage := damaged(data.pack, thorough=True)):
        problems.append(f"its pack {data.pack} is damaged ({damage}): delete that folder, and it is written anew")
    splits = {
        name: {"rows": len(split), "fields": {field: _account(column) for field, column in split.columns.items()}}
        for name, split in data.splits.items()
    }
    fields = {name: kind.to_json() for name, kind in data.fields.items()}
    return {"record": data.record, "fields": fields, "splits": splits, "problems": problems}


def _account(column: Column) -> dict[str, Any]:
    rows = torch.linspace(0, len(column) - 1, min(len(column), LOOKED_AT), dtype=torch.float64).long()
    pieces = (column.read(some) for some in rows.split(ROWS))
    if isinstance(column.kind, Category):
        counts = sum(torch.bincount(piece, minlength=column.kind.classes) for piece in pieces)
        names = column.kind.names or tuple(map(str, range(column.kind.classes)))
        return {"looked_at": len(rows), "classes": dict(zip(names, torch.as_tensor(counts).tolist(), strict=True))}
    low, high, total = math.inf, -math.inf, 0.0
    for piece in pieces:
        low, high, total = min(low, piece.min().item()), max(high, piece.max().item()), total + piece.double().sum().item()
    return {"looked_at": len(rows), "min": low, "max": high, "mean": total / (len(rows) * column.kind.size)}
