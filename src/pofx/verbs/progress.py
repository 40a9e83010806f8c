"""Progress on stderr: a bar on a terminal, plain lines in a log."""

from __future__ import annotations

import os
import sys
import time
from typing import Any, Self

EVERY = 10.0  # seconds between lines in a log


class _Shown:
    """A bar on a terminal, for as long as the block lasts; plain lines elsewhere."""

    def __init__(self) -> None:
        self.bar, self.task = _bar()

    def __enter__(self) -> Self:
        if self.bar is not None:
            self.bar.start()
        return self

    def __exit__(self, *raised: object) -> None:
        if self.bar is not None:
            self.bar.stop()


class TrainingProgress(_Shown):
    """What the engine reports, shown: call it with a row of metrics beside `total` and `steps_a_second`."""

    def __init__(self) -> None:
        super().__init__()
        self.valid, self.printed = "", 0.0

    def __call__(self, row: dict[str, Any]) -> None:
        if "split" in row:
            main = [value for name, value in row.items() if name.endswith(".loss")]
            self.valid = f"valid {main[0]:.4g}" if main else ""
            return
        parts = [f"{name} {value:.4g}" for name, value in row.items() if "." in name]
        whole = [part for part in parts if ".loss " in part]
        losses = "  ".join(filter(None, [*whole, self.valid, *(part for part in parts if part not in whole)]))
        if self.bar is not None:
            self.bar.update(self.task, completed=row["step"], total=row["total"], losses=losses)
            return
        now = time.monotonic()
        if now - self.printed >= EVERY or row["step"] >= row["total"]:
            self.printed = now
            speed = row["steps_a_second"]
            left = f"  {(row['total'] - row['step']) / speed:.0f} s left" if speed and row["step"] < row["total"] else ""
            print(f"step {row['step']}/{row['total']}  {losses}{left}".rstrip(), file=sys.stderr, flush=True)


class Counting(_Shown):
    """How many of how many are done: call it with both."""

    def __init__(self, what: str):
        super().__init__()
        self.what, self.printed = what, time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        if self.bar is not None:
            self.bar.update(self.task, completed=done, total=total, losses=self.what)
        elif time.monotonic() - self.printed >= EVERY:
            self.printed = time.monotonic()
            print(f"{self.what}: {done}/{total}", file=sys.stderr, flush=True)


def _bar() -> tuple[Any, Any]:
    """A bar and its task; neither where stderr is no terminal, or another replica shows one."""
    if not sys.stderr.isatty() or os.environ.get("RANK", "0") != "0":
        return None, None
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    columns = (
        BarColumn(16),
        MofNCompleteColumn(table_column=Column(no_wrap=True, min_width=9)),
        TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True, min_width=5)),
        TextColumn("{task.fields[losses]}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
    )
    bar = Progress(*columns, console=Console(stderr=True), expand=True)
    return bar, bar.add_task("", total=None, losses="")
