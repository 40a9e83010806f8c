"""Progress on stderr: a bar on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, Self, TypeVar

from pofx.environment import first_replica

T = TypeVar("T")
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
        from pofx.train.log import losses

        if "warning" in row:
            self._say(f"warning: {row['warning']}")
            return
        if "split" in row:
            if "watch.coverage" in row:
                self.valid = f"coverage {row['watch.coverage']:.2f}"
            else:
                self.valid = next((f"valid {value:.4g}" for name, value in row.items() if name.endswith(".loss")), "")
            return
        first = losses(row)
        others = [name for name in row if "." in name and name not in first and not name.endswith(".gradient_norm")]
        shown = [f"{name} {row[name]:.4g}" for name in first], [self.valid], [f"{name} {row[name]:.4g}" for name in others]
        numbers = "  ".join(filter(None, (part for parts in shown for part in parts)))
        if self.bar is not None:
            self.bar.update(self.task, completed=row["step"], total=row["total"], losses=numbers)
            return
        now = time.monotonic()
        if now - self.printed >= EVERY or row["step"] >= row["total"]:
            self.printed = now
            speed = row["steps_a_second"]
            left = f"  {(row['total'] - row['step']) / speed:.0f} s left" if speed and row["step"] < row["total"] else ""
            self._say(f"step {row['step']}/{row['total']}  {numbers}{left}".rstrip())

    def _say(self, line: str) -> None:
        """A line of its own, above the bar if there is one."""
        if self.bar is not None:
            self.bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, file=sys.stderr, flush=True)


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


def counted(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """The items of long work, with a progress bar on a terminal and a line every ten seconds in a log."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track

        yield from track(items, what, total, console=Console(stderr=True), transient=True)
        return
    said = time.monotonic()
    for done, item in enumerate(items):
        if time.monotonic() > said + EVERY:
            said = time.monotonic()
            print(f"{what}: {done} of {total}", file=sys.stderr, flush=True)
        yield item


def _bar() -> tuple[Any, Any]:
    """A bar and its task; neither where stderr is no terminal, or another replica shows one."""
    if not sys.stderr.isatty() or not first_replica():
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
