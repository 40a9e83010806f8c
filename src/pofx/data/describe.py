"""What there is to say about a data set: fields, rows, classes, numbers, problems."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from pofx.data.batching import padding
from pofx.data.cache import damaged
from pofx.data.columns import Column, Data
from pofx.data.tokenizer import Tokenizer

BATCH = 100  # rows of a batch whose padding is reported
LOOKED_AT = 100_000  # rows of a split that its statistics are of; of a longer one, evenly spaced rows
ROWS = 1000  # read at a time


def describe(data: Data) -> dict[str, Any]:
    """A JSON-able account of `data`; a pack's SHA-256 are checked on the way.

    Returns:
        record, fields (name -> kind), splits (name -> rows, and fields -> classes or min, max, mean and how many rows were looked
        at; of text, how many tokens and characters, the longest row, and the share of padding in batches of 100), problems

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
        name: {
            "rows": len(split),
            "fields": {field: _account(column, data.tokenizers.get(field)) for field, column in split.columns.items()},
        }
        for name, split in data.splits.items()
    }
    for name, split in data.splits.items():
        if lengths := [column.lengths for column in split.columns.values() if column.lengths is not None]:
            size = min(BATCH, len(split))
            splits[name]["padding"] = padding(lengths, [split.rows(k, size, seed=0)[""] for k in range(len(split) // size)])
    fields = {name: kind.to_json() for name, kind in data.fields.items()}
    return {"record": data.record, "fields": fields, "splits": splits, "problems": problems}


def _account(column: Column, tokenizer: Tokenizer | None) -> dict[str, Any]:
    if tokenizer is not None:
        return _account_of_text(column, tokenizer)
    rows = torch.linspace(0, len(column) - 1, min(len(column), LOOKED_AT), dtype=torch.float64).long()
    pieces = (column.read(some) for some in rows.split(ROWS))
    if column.kind.classes:
        counts = sum(torch.bincount(piece, minlength=column.kind.classes) for piece in pieces)
        names = column.kind.names or tuple(map(str, range(column.kind.classes)))
        return {"looked_at": len(rows), "classes": dict(zip(names, torch.as_tensor(counts).tolist(), strict=True))}
    low, high, total = math.inf, -math.inf, 0.0
    for piece in pieces:
        low, high, total = min(low, piece.min().item()), max(high, piece.max().item()), total + piece.double().sum().item()
    return {"looked_at": len(rows), "min": low, "max": high, "mean": total / (len(rows) * column.kind.size)}


def _account_of_text(column: Column, tokenizer: Tokenizer) -> dict[str, Any]:
    if column.lengths is None:  # windows of running text
        text = np.concatenate([column.values[:, 0], column.values[-1, 1:]])
        return {"tokens": len(text), "characters": len(tokenizer.decode(text)), "vocabulary": tokenizer.vocabulary}
    rows = torch.linspace(0, len(column) - 1, min(len(column), LOOKED_AT), dtype=torch.float64).long()
    characters = sum(len(tokenizer.decode(row)) for some in rows.split(ROWS) for row in column.read(some).tolist())
    tokens = int(column.lengths.sum()) - len(column)  # without EOS
    longest = int(column.lengths.max())
    about = {"tokens": tokens, "characters": characters, "vocabulary": tokenizer.vocabulary, "longest": longest}
    return about | ({"looked_at": len(rows)} if len(rows) < len(column) else {})
