"""Rows of numbers as JSON lines: `metrics.jsonl` without clock times, so that a resumed run's equals an unbroken one's."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pofx.errors import UserError
from pofx.run import explained


def losses(row: dict[str, Any]) -> dict[str, float]:
    """What each player minimises, from a row of metrics: its part called loss, or the only part that it has.

    Example:
        >>> losses({"step": 20, "critic.real": 0.6, "critic.loss": 1.3, "generator.fooling": 0.7, "generator.gradient_norm": 2.0})
        {'critic.loss': 1.3, 'generator.fooling': 0.7}
    """
    parts: dict[str, list[str]] = {}
    for name in row:
        player, dot, part = name.partition(".")
        if dot and part != "gradient_norm" and player != "watch":
            parts.setdefault(player, []).append(name)
    return {name: row[name] for own in parts.values() for name in own if name.endswith(".loss") or len(own) == 1}


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
