"""Rows of numbers as JSON lines: `metrics.jsonl` without clock times, so that a resumed run's equals an unbroken one's."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch

from pofx.errors import UserError
from pofx.kinds import Kind
from pofx.plan import Logged, Part, Ratio
from pofx.run import explained
from pofx.train.strategy import Replicas

ROWS, TOKENS = 250, 2**14  # that are validated at once


def at_once(kind: Kind, batch_size: int) -> int:
    """Rows that are validated at once: 250, of text fewer, since a model gives each token a number for every word; no less than a batch.

    Example:
        >>> from pofx.kinds import Tokens, Vector
        >>> at_once(Vector(2), 100), at_once(Tokens(10_000, length=100), 64), at_once(Tokens(65, length=1000), 64)
        (250, 163, 64)
    """
    return max(batch_size, min(ROWS, TOKENS // kind.size) if kind.text else ROWS)


def losses(row: dict[str, Any]) -> dict[str, float]:
    """What each player minimises, from a row of metrics: its part called loss, or the only part that it has.

    Example:
        >>> losses({"step": 20, "discriminator.loss": 1.3, "generator.adversarial": 0.7, "generator.gradient_norm": 2.0})
        {'discriminator.loss': 1.3, 'generator.adversarial': 0.7}
    """
    parts: dict[str, list[str]] = {}
    for name in row:
        player, dot, part = name.partition(".")
        if dot and part != "gradient_norm" and player != "watch":
            parts.setdefault(player, []).append(name)
    return {name: row[name] for own in parts.values() for name in own if name.endswith(".loss") or len(own) == 1}


class Totals:
    """The parts of a loss, summed over many batches for their means.

    Example:
        >>> totals = Totals()
        >>> for error in ([1.0, 2.0], [6.0]):
        ...     totals.add({"error": torch.tensor(error), "nats": Ratio(torch.tensor(error), torch.tensor([2] * len(error)))})
        >>> totals.means(Replicas(torch.device("cpu")), torch.device("cpu"))
        (4.5, {'error': 3.0, 'nats': 1.5})
    """

    def __init__(self) -> None:
        self.sums: dict[tuple[str, bool], list[float]] = {}  # (part, whether it is logged only) -> sum, count

    def add(self, parts: dict[str, Part]) -> None:
        """Add what a loss gave for one batch."""
        for name, part in parts.items():
            values = part.total if isinstance(part, Ratio) else part.values if isinstance(part, Logged) else part
            entry = self.sums.setdefault((name, isinstance(part, Logged)), [0.0, 0.0])
            entry[0] += values.sum(dtype=torch.float64).item()
            entry[1] += part.counted.sum().item() if isinstance(part, Ratio) else len(values)

    def means(self, replicas: Replicas, device: torch.device) -> tuple[float, dict[str, float]]:
        """Over all replicas: the loss that is minimised, and the mean of each part."""
        total, count = torch.tensor(list(self.sums.values()), dtype=torch.float64, device=device).unbind(1)
        flat = torch.cat([total, count])
        replicas.sum([flat])
        means = dict(zip(self.sums, (flat[: len(total)] / flat[len(total) :]).tolist(), strict=True))
        return sum((value for (_, logged), value in means.items() if not logged), 0.0), {name: value for (name, _), value in means.items()}


class Metrics:
    """The rows of a run.

    Args:
        folder: holds metrics.jsonl and timings.jsonl; None keeps the rows in memory

    Example:
        >>> metrics = Metrics(None)
        >>> metrics.add({"step": 20, "vae.loss": 101.5}, steps_a_second=400.0)
        >>> metrics.rows
        ['{"step": 20, "vae.loss": 101.5}']
    """

    def __init__(self, folder: Path | None):
        self.folder, self.rows, self.length = folder, list[str](), 0

    def add(self, row: dict[str, Any], steps_a_second: float | None) -> None:
        """Append one row; the speed goes beside, since clock times never repeat."""
        line = json.dumps(row)
        if self.folder is None:
            self.rows.append(line)
            self.length += len(line.encode()) + 1
            return
        with explained(self.folder):
            with open(self.folder / "metrics.jsonl", "a") as file:
                file.write(line + "\n")
            self.length += len(line.encode()) + 1
            if steps_a_second is not None:
                with open(self.folder / "timings.jsonl", "a") as file:
                    file.write(json.dumps({"step": row["step"], "steps_a_second": round(steps_a_second, 3)}) + "\n")

    def sync(self) -> None:
        """Bring all rows to the disk, before a state that counts them is saved."""
        if self.folder is not None and (file := self.folder / "metrics.jsonl").exists():
            with open(file, "rb") as f:
                os.fsync(f.fileno())

    def cut(self, length: int) -> None:
        """Go back to the first `length` bytes, as they were when a state was saved."""
        if self.folder is None:
            while self.rows and self.length > length:
                self.length -= len(self.rows.pop().encode()) + 1
            self.length = length
            return
        file = self.folder / "metrics.jsonl"
        have = file.stat().st_size if file.exists() else 0
        if have < length:
            raise UserError(f"{file} holds {have} bytes, but {length} were written when the state was saved: restore the file")
        if have > length:
            with explained(file):
                os.truncate(file, length)
        self.length = length
