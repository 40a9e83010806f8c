"""A report on a terminal: tables for lists of records, one line for the rest."""

from __future__ import annotations

import sys
from typing import Any


def show(report: dict[str, Any] | list[dict[str, Any]], without: tuple[str, ...] = ()) -> None:
    """Print a verb's report for people.

    Args:
        report: what the verb gave; a list of records is one table
        without: keys and columns that are for machines
    """
    from rich.console import Console
    from rich.table import Table

    terminal = sys.stdout.isatty()
    console = Console(width=None if terminal else 200, highlight=False, markup=False)
    report = report if isinstance(report, dict) else {"records": report}
    for key, value in report.items():
        if key in without or value is None or value == {}:
            continue
        if isinstance(value, list) and value and isinstance(value[0], dict):
            columns = [column for column in value[0] if column not in without]
            table = Table(*map(_words, columns), box=None, pad_edge=False, header_style="bold")
            for row in value:
                table.add_row(*(_cell(row[column]) for column in columns))
            if len(report) > 1:
                console.print(f"{_words(key)}:")
            console.print(table)
        elif isinstance(value, list) and value and isinstance(value[0], str):
            console.print(f"{_words(key)}:", *value, sep="\n  ", soft_wrap=True)
        elif isinstance(value, dict) and any(isinstance(item, dict) for item in value.values()):
            console.print(f"{_words(key)}:", *(f"{name}: {_cell(item)}" for name, item in value.items()), sep="\n  ", soft_wrap=True)
        else:
            console.print(f"{_words(key)}: {_cell(value)}", soft_wrap=True)


def _words(key: str) -> str:
    return key.replace("_", " ")


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, dict):
        if {"authors", "year"} <= value.keys():
            return f"{value['authors']}, {value['year']}, {value['reference']}"
        return ", ".join(f"{_words(key)} {_cell(item)}" for key, item in value.items() if item is not None)
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_cell, value)) or "none"
    return "-" if value is None else str(value)
