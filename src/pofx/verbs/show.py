"""A report on a terminal: tables for lists of records, one line for the rest. What is under "rows" is for files and --json."""

from __future__ import annotations

import sys
from typing import Any


def show(report: dict[str, Any]) -> None:
    """Print a verb's report for people."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False, markup=False, soft_wrap=not sys.stdout.isatty())
    for key, value in report.items():
        if key == "rows" or value is None:
            continue
        if isinstance(value, list) and value and isinstance(value[0], dict):
            table = Table(*value[0], box=None, pad_edge=False, header_style="bold")
            for row in value:
                table.add_row(*(_cell(cell) for cell in row.values()))
            console.print(_words(key) if len(report) > 1 else "", end="\n" if len(report) > 1 else "")
            console.print(table)
        elif isinstance(value, list) and value:
            console.print(f"{_words(key)}:")
            for line in value:
                console.print(f"  {_cell(line)}")
        else:
            console.print(f"{_words(key)}: {_cell(value)}")


def _words(key: str) -> str:
    return key.replace("_", " ")


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_cell(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_cell, value)) or "none"
    return "-" if value is None else str(value)
