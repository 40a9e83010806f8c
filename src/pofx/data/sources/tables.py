"""Tables: CSV and Parquet files. Columns of numbers become x, a column of classes becomes label; or the rows are steps of a time series."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet

from pofx.data.cache import Store
from pofx.data.contents import Contents
from pofx.data.sources.images import Picture, decode
from pofx.errors import UserError, nearest
from pofx.kinds import Category, Vector


def read_csv(path: Path, chosen: dict[str, Any]) -> Contents:
    """A CSV file. Its first row is a header if no cell of it is a number; without one, columns are named 1, 2, ..."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = next(csv.reader(file), [])
        header = bool(first) and not any(_is_number(cell) for cell in first)
        names = [name.strip() for name in first] if header else [str(i + 1) for i in range(len(first))]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise UserError(f"{path}: two columns are named {twice!r}; name each once")
        table = pyarrow.csv.read_csv(
            path,
            read_options=pyarrow.csv.ReadOptions(column_names=names, skip_rows=int(header)),
            convert_options=pyarrow.csv.ConvertOptions(strings_can_be_null=True),
        )
    except (pa.ArrowInvalid, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as CSV: {' '.join(str(error).split())}") from None
    return from_table(table, str(path), chosen, first_line=1 + header)


def read_parquet(path: Path, chosen: dict[str, Any], store: Store) -> Contents:
    """A Parquet file of numbers and classes, or of pictures as the Hugging Face hub keeps them ({bytes, path})."""
    try:
        table = pyarrow.parquet.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} cannot be read as Parquet: {' '.join(str(error).split())}") from None
    pictures = [field.name for field in table.schema if pa.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0]
    if not pictures:
        return from_table(table, str(path), chosen)
    cells = table[pictures[0]]

    def opener(i: int) -> Callable[[], PIL.Image.Image]:
        return lambda: PIL.Image.open(io.BytesIO(cells[i]["bytes"].as_py()))

    rows = [Picture(f"row {i + 1}", opener(i)) for i in range(len(table))]
    kind, x, rows_kept, problems = decode({"all": rows}, str(path), chosen, store)
    contents = Contents({"x": kind}, {"all": {"x": x["all"]}}, problems=problems)
    label = chosen["label"] or ("label" if "label" in table.column_names else None)
    if label is not None:
        _check_names(str(path), [label], table.column_names)
        contents.add("label", *_classes(table.take(rows_kept["all"]), label, str(path)))
    contents.number("all", rows_kept["all"])
    return contents


def from_table(table: pa.Table, source: str, chosen: dict[str, Any], *, first_line: int | None = None) -> Contents:
    """The contents of a table.

    Args:
        table: of numbers and perhaps classes
        source: for messages
        chosen: label, the column of the classes (by default the only column of text); columns, those that make x (by default all
            others); skip_bad, to skip rows with a cell that is empty or not finite; series, where rows are steps in time
        first_line: of the file that the rows begin on
    """
    if len(table) == 0:
        raise UserError(f"{source}: no rows in it")
    label, columns = chosen["label"], list(chosen["columns"] or ())
    _check_names(source, [*columns, *([label] if label else [])], table.column_names)
    numeric = {name for name in table.column_names if _numeric(table[name].type)}
    series = chosen.get("series", False)
    times = _times(table, columns) if series else []
    if label is None and not columns and not series:
        text = [name for name in table.column_names if name not in numeric]
        if len(text) == 1 and pyarrow.compute.count_distinct(table[text[0]]).as_py() <= len(table) / 2:
            label = text[0]
    columns = columns or [name for name in table.column_names if name not in (label, *times)]
    problems = []
    for name in columns:
        if name not in numeric:
            raise UserError(f"{source}: {_not_a_number(table, name, first_line)}")
    if not columns:
        beside = f"the time {times[0]!r}" if times else f"the label {label!r}"
        raise UserError(f"{source}: no column of numbers beside {beside}")

    x = np.stack([table[name].to_numpy().astype(np.float32) for name in columns], 1)  # empty cells are NaN in it
    bad = ~np.isfinite(x)
    if label:
        bad = np.column_stack([bad, table[label].is_null().to_numpy()])
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        name = [*columns, label][column]
        if not chosen["skip_bad"]:
            more = f" ({bad.any(1).sum()} such rows)" if bad.any(1).sum() > 1 else ""
            where = f"{_where(row, name, first_line)} {'is empty' if name == label else 'has no number'}{more}"
            instead = "choose other --columns" if series else "skip such rows with --skip-bad"
            raise UserError(f"{source}: {where}; fill it in, or {instead}")
        problems = [f"row {i + 1}: left out, {[*columns, label][int(bad[i].argmax())]!r} has no number" for i in np.flatnonzero(bad.any(1))]
        table, x = table.filter(pa.array(~bad.any(1))), x[~bad.any(1)]
        if len(table) == 0:
            raise UserError(f"{source}: every row has an empty cell; choose columns with --columns")
    contents = Contents({"x": Vector(len(columns))}, {"all": {"x": x}}, problems=problems, columns=tuple(columns))
    contents.number("all", np.flatnonzero(~bad.any(1)))
    if times:
        _check_order(table, times[0], source, first_line)
        contents.names = {"all": [str(cell) for cell in table[times[0]].to_pylist()]}
    if label:
        contents.add("label", *_classes(table, label, source))
    return contents


def _classes(table: pa.Table, label: str, source: str) -> tuple:
    values = table[label].to_numpy()
    if values.dtype.kind == "f":
        if not np.array_equal(values, np.rint(values)):
            raise UserError(f"{source}: column {label!r} has fractions, which are no classes; choose another --label, or none")
        values = values.astype(np.int64)
    return Category.of({"all": values if values.dtype.kind in "iub" else values.astype(str)})


def _numeric(type: pa.DataType) -> bool:
    return pa.types.is_integer(type) or pa.types.is_floating(type) or pa.types.is_boolean(type) or pa.types.is_null(type)


def _times(table: pa.Table, columns: list[str]) -> list[str]:
    """The column that says when a row was, if there is one: dates; or text that is another in each row; or, in front, numbers that count.

    Behind it, an index without a name. What is in `columns` is data.
    """
    free = [name for name in table.column_names if name not in columns]
    dates = [name for name in free if pa.types.is_temporal(table[name].type)]
    text = [name for name in free if pa.types.is_string(table[name].type) or pa.types.is_large_string(table[name].type)]
    names = [name for name in text if _differs(table[name])]
    counts = [name for name in free[:1] if name == table.column_names[0] and len(table.column_names) > 1 and _counts(table[name])]
    best = [*dates, *names, *counts][:1]
    return best + [name for name in counts if name == "" and name not in best]


def _differs(column: pa.ChunkedArray) -> bool:
    """Whether no two cells are alike, and most are no numbers: else one odd cell would hide a channel."""
    if column.null_count or len(column.unique()) < len(column):
        return False
    return sum(map(_is_number, column.to_pylist())) < len(column) / 2


def _counts(column: pa.ChunkedArray) -> bool:
    """Whether the cells are whole numbers that rise by the same amount each row."""
    if not pa.types.is_integer(column.type) or column.null_count:
        return False
    apart = np.diff(column.to_numpy())
    return len(apart) > 1 and bool((apart == apart[0]).all()) and apart[0] > 0


def _check_order(table: pa.Table, time: str, source: str, first_line: int | None) -> None:
    cells = table[time].to_numpy()
    if pa.types.is_temporal(table[time].type) and not (later := cells[1:] > cells[:-1]).all():
        row = int(later.argmin()) + 1
        when = f"{table[time][row]}, which is no later than the row before, {table[time][row - 1]}"
        raise UserError(f"{source}: {_where(row, time, first_line)} is {when}; sort the rows by time, one row a step")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _check_names(source: str, names: list[str], known: list[str]) -> None:
    for name in names:
        if name not in known:
            raise UserError(f"{source} has no column {name!r}; {nearest(name, known)}")


def _where(row: int, name: str, first_line: int | None) -> str:
    return f"row {row + 1}{f' (line {row + first_line})' if first_line else ''}, column {name!r}"


def _not_a_number(table: pa.Table, name: str, first_line: int | None) -> str:
    """Why a column is none of numbers: one odd cell, or text altogether."""
    if pa.types.is_string(table[name].type) or pa.types.is_large_string(table[name].type):
        cells = table[name].to_pylist()
        odd = [row for row, cell in enumerate(itertools.islice(cells, 100_000)) if cell is not None and not _is_number(cell)]
        if odd and len(odd) < len(cells) / 2:
            return f"{_where(odd[0], name, first_line)} is {cells[odd[0]]!r}, not a number; fix it"
    instead = "name those that make x with --columns, or the classes with --label; or pass --window if the rows are steps in time"
    return f"column {name!r} is {table[name].type}, not numbers; {instead}"
