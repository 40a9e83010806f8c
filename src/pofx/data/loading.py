"""`load(spec)`: from what a user names to splits of named, typed fields."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch

from pofx.data import arrays, hub, images, series, synthetic, tables
from pofx.data.contents import Contents
from pofx.data.packing import packed
from pofx.data.series import TimeSeries
from pofx.data.split import Binarize, Column, Data, Split
from pofx.errors import TooFewRows, UserError, nearest
from pofx.game import generator
from pofx.kinds import Binary, Category, Fraction, Image, Kind, Range, Seed, Series, Size, check_value
from pofx.options import options

CUSTOMARY = 0.1  # of a source that has no splits of its own, for each of valid and test
Rows = dict[str, tuple[str, np.ndarray | None]]  # split -> the part it comes from, its rows in order (None for all of them)


def load(
    spec: str | Path,
    uncut: bool = False,
    *,
    binarize: Binarize = "none",
    size: Size | None = None,
    channels: Literal["grey", "rgb"] | None = None,
    label: str | None = None,
    columns: tuple[str, ...] | None = None,
    window: Size | None = None,
    stride: Size | None = None,
    stacked: Annotated[int, Range(2)] | None = None,
    valid: Fraction | None = None,
    test: Fraction | None = None,
    split_seed: Seed = 0,
    labelled: Size | None = None,
    skip_bad: bool = False,
) -> Data:
    """Named splits of named, typed fields, from a name or a path.

    | spec | fields |
    |---|---|
    | `digits` | built in: x Image(1, 8, 8), label |
    | `ring`, `grid` | built in: x Vector(2) around 8 or 25 modes, label is the mode's number |
    | a folder of pictures | x; class folders become label; train, valid and test folders become splits |
    | a folder of idx files (plain, gz, xz) | x, label |
    | a `.npy` or `.npz` file | x, and what else the .npz names |
    | a `.csv` or `.parquet` file | x Vector, label; with `window`, x Series |
    | a `.jsonl` file, or a folder with one | x, the pictures that its lines name; label |
    | `mnist`, `fashion-mnist`, ... | a folder or file of that name in $POFX_DATA, else from the Hugging Face hub |

    Args:
        spec: a name or a path
        uncut: leave a source without splits whole, as one split `all`: to ask a trained model about, not to train on
        binarize: pictures to bits: threshold (1 where x >= 0.5), or dynamic (drawn with probability x, anew in every training
            batch; one fixed draw in evaluation)
        size: pictures are resized and cropped at the centre to this many pixels a side
        channels: pictures are made grey or rgb; as they are by default
        label: the column of a table, or the key of JSON lines, that is the class
        columns: the columns of a table that make x; all that are left by default
        window: rows of a table are steps in time, in order, and x is every so many of them in a row; a column of dates is no part of
            it. Splits follow each other in time, and no window reaches from one into another
        stride: steps from the beginning of one window to that of the next, 1 by default
        stacked: so many grey pictures, drawn at random from the rows of their split, make the channels of one; its label is the number
            that their labels spell: 3 digits have 1000 modes
        valid: fraction of the rows (of train, where the source has splits) held out for validation; by default the source's own
            validation split, or as many rows as its test split has but at most a fifth, or a tenth
        test: fraction of the rows held out for testing; by default the source's own test split, or a tenth of a source without
            splits
        split_seed: draws the splits, the rows of stacked pictures, the rows that are labelled, and the fixed bits of dynamic binarisation
            in evaluation
        labelled: only so many rows of train are labelled, as many of each class: they are `x_labelled`, and `label` is theirs, in an order
            of their own beside x, which is all rows. In valid and test all are labelled, and x_labelled is x
        skip_bad: leave out files, or rows of a table, that cannot be read; without it they are an error

    Raises:
        UserError: the data is unknown, damaged, or not what the options say

    Example:
        >>> data = load("digits", binarize="threshold")
        >>> data.fields["x"], {name: len(split) for name, split in data.splits.items()}
        (Binary(dims=(1, 8, 8)), {'train': 1437, 'valid': 180, 'test': 180})
    """
    chosen = {name: value for name, value in locals().items() if name not in ("spec", "uncut")}
    for option in OPTIONS:
        check_value(f"data: {option.name}", option.annotation, chosen[option.name])
    if stride is not None and window is None:
        raise UserError("--stride is for windows of a series: say --window too, or leave it out")
    spec, contents = find(str(spec), chosen)
    steps: dict[str, tuple[int, int]] = {}
    if window is not None:
        whole = TimeSeries.of(contents, spec)
        steps = series.cut(len(whole.values), window, stride or 1, valid, test, spec, uncut=uncut)
        contents.fields = {"x": Series(window, len(whole.channels))}
        contents.parts = {"all": {"x": whole.windows(window)}}
        chosen["columns"] = contents.columns or None  # named, so that new data for a model are read alike
        rows_of: Rows = {name: ("all", np.arange(first, end - window + 1, stride or 1)) for name, (first, end) in steps.items()}
    single: dict[str, Kind] = dict(contents.fields)
    fields = single if stacked is None else synthetic.stacked_kinds(single, stacked, spec)
    x = fields["x"]
    levels = x.levels if isinstance(x, Image) else None
    if binarize != "none":
        if not isinstance(x, Image):
            why = "it is binary already" if isinstance(x, Binary) else "only pictures are binarised"
            raise UserError(f"{spec} has x: {x}; {why}: leave --binarize out")
        fields = fields | {"x": Binary(*x.shape)}

    if labelled is not None:
        if stacked is not None:
            raise UserError("--labelled does not go with --stacked: leave one of them out")
        if not isinstance(fields.get("label"), Category):
            raise UserError(f"{spec} has {', '.join(fields)} and no labels: leave --labelled out, or name the --label of a table")
        fields = {"x": fields["x"], "x_labelled": fields["x"], **{name: kind for name, kind in fields.items() if name != "x"}}

    if window is None:
        rows_of = {"all": ("all", None)} if uncut and "all" in contents.parts else cut(contents, valid, test, split_seed, spec)
    splits = {}
    for name, (part, rows) in rows_of.items():
        held: dict[str, Column] = {}
        for field, kind in fields.items():
            of_x = field in ("x", "x_labelled")
            how: dict[str, Any] = {"binarize": binarize if of_x else "none", "key": (split_seed, name)}
            stored, levels_of = contents.parts[part]["x" if of_x else field], levels if of_x else None
            if stacked is not None:
                column = Column(single[field], stored, rows)
                held[field] = synthetic.Stacked(column, kind, seed=split_seed, split=name, channels=stacked, **how)
            elif labelled is not None and name == "train" and field in ("x_labelled", "label"):
                some = few(contents.parts[part]["label"], rows, labelled, split_seed, spec)
                held[field] = Column(kind, stored, some, group="labelled", levels=levels_of, **how)
            else:
                held[field] = held["x"] if field == "x_labelled" else Column(kind, stored, rows, levels=levels_of, **how)
        names = contents.names.get(part, []) if stacked is None else []
        splits[name] = Split(held, names if rows is None else [names[i] for i in rows] if names else [])
    record = {
        "spec": spec,
        **{name: value for name, value in chosen.items() if value is not None or name not in ("window", "stride", "stacked", "labelled")},
        "fields": {name: kind.to_json() for name, kind in fields.items()},
        "counts": {name: len(split) for name, split in splits.items()},
        "sha256": contents.sha256,
        "sha256_of": contents.sha256_of,
        **({"steps": steps} if steps else {}),
    }
    return Data(fields, splits, record, contents.problems, contents.pack)


OPTIONS = options(load, load.__doc__)
SOURCE_OPTIONS = ("size", "channels", "label", "columns", "window", "skip_bad")  # what the source is read with, before it is split


def reload(record: dict[str, Any]) -> Data:
    """The data that `record` (of `Data.record`) was written about; a UserError if they have changed since."""
    data = load(record["spec"], **{option.name: record[option.name] for option in OPTIONS if option.name in record})
    if data.record["sha256"] != record["sha256"]:
        raise UserError(f"{record['spec']} has changed: SHA-256 {data.record['sha256'][:12]}, but the record says {record['sha256'][:12]}")
    return data


def load_series(spec: str | Path, *, columns: tuple[str, ...] | None = None) -> TimeSeries:
    """The whole of a time series: a table whose rows are steps in time, as `load` with a `window` reads it, before it is cut.

    Args:
        spec: a name or a path
        columns: the columns that make x; all but that of the time by default

    Raises:
        UserError: the data is unknown or damaged, a number is missing, or the rows are not in the order of their dates
    """
    chosen = {option.name: option.default for option in OPTIONS} | {"columns": columns, "window": 1}
    name, contents = find(str(spec), chosen)
    return TimeSeries.of(contents, name)


def find(spec: str, chosen: dict[str, Any]) -> tuple[str, Contents]:
    """The contents that `spec` names, and the spec as it is recorded: a name, or a whole path."""
    if spec == "digits":
        found = arrays.digits()
        return spec, images.fit(found, spec, take(chosen, spec, "size", "channels"), lambda part, name, shape, kind: np.empty(shape, kind))
    if spec in synthetic.KNOWN:
        take(chosen, spec)
        return spec, synthetic.KNOWN[spec].contents()
    path = Path(spec).expanduser()
    if spec and path.exists():
        return str(path.resolve()), read(path.resolve(), chosen)
    root = os.environ.get("POFX_DATA")
    if root and not Path(root).is_dir():
        raise UserError(f"no data {spec!r}, and $POFX_DATA is {root}, which is no folder: set it to the folder your data sets are in")
    if root and spec and (Path(root) / spec).exists():
        return spec, read((Path(root) / spec).resolve(), chosen)
    if spec in hub.KNOWN:
        chosen = take(chosen, spec, "size", "channels", "skip_bad", "label")
        return spec, packed(spec, None, [], chosen, lambda store: hub.from_hub(spec, chosen, store))
    known = {"digits", *synthetic.KNOWN, *hub.KNOWN, *(os.listdir(root) if root else ())}
    where = "a file, a folder, nor a name" + (" in $POFX_DATA" if root else " that pofx knows ($POFX_DATA is not set)")
    raise UserError(f"no data {spec!r}: neither {where}; {nearest(spec, known)}")


def read(path: Path, chosen: dict[str, Any]) -> Contents:
    """The contents of a file or folder, by its name and what is in it."""
    spec = str(path)
    if path.is_dir():
        return read_folder(path, chosen)
    match path.suffix.lower():
        case ".npy":
            chosen = take(chosen, spec, "size", "channels", "window")
            chosen.pop("window")  # of the array as it is
            if not any(chosen.values()):
                return arrays.npy(path)
            return packed(spec, path, [path], chosen, lambda store: images.fit(arrays.npy(path), spec, chosen, store.create))
        case ".npz":
            chosen = take(chosen, spec, "size", "channels")
            return packed(spec, path, [path], chosen, lambda store: images.fit(arrays.npz(path), spec, chosen, store.create))
        case ".csv":
            chosen = as_table(take(chosen, spec, "label", "columns", "skip_bad", "window"), spec)
            return packed(spec, path, [path], chosen, lambda store: tables.read_csv(path, chosen))
        case ".parquet":
            chosen = as_table(take(chosen, spec, "size", "channels", "skip_bad", "label", "columns", "window"), spec)
            return packed(spec, path, [path], chosen, lambda store: tables.read_parquet(path, chosen, store))
        case ".jsonl":
            chosen = take(chosen, spec, "size", "channels", "skip_bad", "label")
            pictures = sorted({path.parent / line["image"] for line in images.read_lines(path)})
            files = [path, *(picture for picture in pictures if picture.is_file())]
            return packed(spec, path.parent, files, chosen, lambda store: images.json_lines(path, chosen, store))
    what = "text" if path.suffix in (".txt", ".tsv") else "sound" if path.suffix in (".wav", ".flac") else None
    why = f"{path.name} is {what}, which no model of pofx takes yet; it" if what else f"{path.name} is of no form that pofx knows: it"
    raise UserError(f"{why} reads folders of pictures or of idx files, .npy, .npz, .csv, .parquet and .jsonl")


def read_folder(path: Path, chosen: dict[str, Any]) -> Contents:
    spec = str(path)
    files = images.files_below(path)
    if not files:
        raise UserError(f"{path} is empty: put pictures in it")
    if idx := [file for parts in arrays.idx_files(path).values() for file in parts.values()]:
        chosen = take(chosen, spec, "size", "channels")
        return packed(spec, path, sorted(idx), chosen, lambda store: images.fit(arrays.idx_folder(path), spec, chosen, store.create))
    if len(files) == 1 and files[0].suffix.lower() in (".npy", ".npz", ".csv", ".parquet"):
        return read(files[0], chosen)
    lines = [file for file in files if file.suffix == ".jsonl" and file.parent == path]
    if len(lines) == 1:
        return read(lines[0], chosen)
    if not any(images.is_picture(file) for file in files):
        endings = sorted({file.suffix or file.name for file in files})
        raise UserError(f"{path} has no pictures in it, only {', '.join(endings[:5])}; name one file in it, such as {files[0]}")
    chosen = take(chosen, spec, "size", "channels", "skip_bad")
    return packed(spec, path, files, chosen, lambda store: images.folder_of_pictures(path, files, chosen, store))


def as_table(chosen: dict[str, Any], spec: str) -> dict[str, Any]:
    """The options that a table is read with. It is the same for every window, so it is packed once."""
    window = chosen.pop("window")
    if window is None:
        return chosen
    if chosen.pop("label"):
        raise UserError(f"{spec}: --window makes one series of the table, which has no classes: leave --label out")
    if chosen.pop("skip_bad"):
        raise UserError(f"{spec}: a row left out would be a gap in the series: leave --skip-bad out, and fill in what is missing")
    return chosen | {"label": None, "skip_bad": False, "series": True}


def take(chosen: dict[str, Any], spec: str, *names: str) -> dict[str, Any]:
    """Those options that a source of this form has; a UserError if another of `SOURCE_OPTIONS` was chosen."""
    for name in SOURCE_OPTIONS:
        if chosen[name] and name not in names:
            raise UserError(f"{spec} has no use for --{name.replace('_', '-')}: leave it out")
    return {name: chosen[name] for name in names}


def cut(contents: Contents, valid: float | None, test: float | None, seed: int, spec: str) -> Rows:
    """The splits of a source whose rows are in no order."""
    parts = {part: len(arrays["x"]) for part, arrays in contents.parts.items()}
    for name, fraction in (("valid", valid), ("test", test)):
        if name in parts and fraction is not None:
            raise UserError(f"{spec} has its own {name} split of {parts[name]} rows: leave --{name} out")
    splits: Rows = {part: (part, None) for part in parts if part != "all"}
    part = "all" if "all" in parts else "train"
    rows = np.arange(parts[part])
    sizes = {}
    if "test" not in parts:
        sizes["test"] = round(len(rows) * (test if test is not None else CUSTOMARY if part == "all" else 0))
    if "valid" not in parts:
        customary = min(CUSTOMARY * len(rows), len(rows)) if "test" not in parts else min(parts["test"], len(rows) / 5)
        sizes["valid"] = max(1, round(len(rows) * valid if valid is not None else customary))
    if sizes:
        left = len(rows) - sum(sizes.values())
        if valid == 0:
            raise UserError(f"{spec}: --valid must be above 0: a model is chosen on its validation split, so there always is one")
        if left < 1 or (test and not sizes["test"]):
            shown = ", ".join(f"{n} for {name}" for name, n in sizes.items())
            few = f"{len(rows)} {'row gives' if len(rows) == 1 else 'rows give'} {shown} and {max(left, 0)} to train on"
            raise TooFewRows(f"{spec}: too few rows to cut: {few}; change --valid or --test, or add data")
        if not contents.shuffled:
            rows = torch.randperm(len(rows), generator=generator(("split", seed))).numpy()
        splits["train"] = (part, np.sort(rows[:left]))
        for name in ("valid", "test"):
            if sizes.get(name):
                splits[name] = (part, np.sort(rows[left : left + sizes[name]]))
                left += sizes[name]
    return {name: splits[name] for name in ("train", "valid", "test") if name in splits}


def few(labels: np.ndarray, rows: np.ndarray | None, count: int, seed: int, spec: str) -> np.ndarray:
    """The `count` of these rows whose labels may be known, as many of each class (one more of some, which are drawn), in order."""
    rows = np.arange(len(labels)) if rows is None else rows
    of = np.asarray(labels)[rows]
    classes, source = np.unique(of), generator(("labelled", seed))
    if count < len(classes):
        raise UserError(f"{spec} has {len(classes)} classes: --labelled must be {len(classes)} or more, one of each, not {count}")
    each, more = divmod(count, len(classes))
    extra = set(torch.randperm(len(classes), generator=source)[:more].tolist())
    chosen = []
    for i, label in enumerate(classes):
        wanted, here = each + (i in extra), rows[of == label]
        if wanted > len(here):
            raise UserError(f"{spec}: --labelled {count} takes {wanted} rows of each class, but train has {len(here)} of class {label}")
        chosen.append(here[torch.randperm(len(here), generator=source)[:wanted].numpy()])
    return np.sort(np.concatenate(chosen))
