"""`load(spec)`: from what a user names to splits of named, typed fields."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from pofx.data import arrays
from pofx.data.contents import Contents
from pofx.data.packing import packed
from pofx.data.split import Binarize, Column, Data, Split
from pofx.errors import UserError, nearest
from pofx.game import generator
from pofx.kinds import Binary, Fraction, Image, Seed, Size, check_value
from pofx.model import options

CUSTOMARY = 0.1  # of a source that has no splits of its own, for each of valid and test


def load(
    spec: str | Path,
    *,
    binarize: Binarize = "none",
    size: Size | None = None,
    channels: Literal["grey", "rgb"] | None = None,
    valid: Fraction | None = None,
    test: Fraction | None = None,
    split_seed: Seed = 0,
    skip_bad: bool = False,
) -> Data:
    """Named splits of named, typed fields, from a name or a path.

    | spec | fields |
    |---|---|
    | `digits` | built in: x Image(1, 8, 8), label |
    | a folder of pictures | x; class folders become label; train, valid and test folders become splits |
    | a folder of idx files (plain, gz, xz) | x, label |
    | a `.npy` or `.npz` file | x, and what else the .npz names |
    | a `.csv` or `.parquet` file | x Vector, label |
    | `mnist`, `fashion-mnist`, ... | a folder or file of that name in $POFX_DATA, else from the Hugging Face hub |

    Args:
        spec: a name or a path
        binarize: pictures to bits: threshold (1 where x >= 0.5), or dynamic (drawn with probability x, anew in every training
            batch; one fixed draw in evaluation)
        size: pictures are resized and cropped at the centre to this many pixels a side
        channels: pictures are made grey or rgb; as they are by default
        valid: fraction of the training rows held out for validation; by default a tenth, or as many as the source's own test
            split has
        test: fraction of the rows held out for the test; by default the source's own test split, or a tenth where the source
            has no splits
        split_seed: draws the splits, and the fixed bits of dynamic binarisation in evaluation
        skip_bad: leave out files that cannot be read; without it they are an error

    Raises:
        UserError: the data is unknown, damaged, or not what the options say

    Example:
        >>> data = load("digits", binarize="threshold")
        >>> data.fields["x"], {name: len(split) for name, split in data.splits.items()}
        (Binary(dims=(1, 8, 8)), {'train': 1437, 'valid': 180, 'test': 180})
    """
    chosen = {name: value for name, value in locals().items() if name != "spec"}
    for option in OPTIONS:
        check_value(f"data: {option.name}", option.annotation, chosen[option.name])
    spec, contents = find(str(spec), chosen)
    fields = dict(contents.fields)
    x = fields["x"]
    levels = x.levels if isinstance(x, Image) else None
    if binarize != "none":
        if not isinstance(x, Image):
            why = "it is binary already" if isinstance(x, Binary) else "only pictures are binarised"
            raise UserError(f"{spec} has x: {x}; {why}: leave --binarize out")
        fields["x"] = Binary(*x.shape)

    splits = {}
    for name, (part, rows) in cut(contents, valid, test, split_seed, spec).items():
        splits[name] = Split({
            field: Column(
                kind,
                contents.parts[part][field],
                rows,
                binarize=binarize if field == "x" else "none",
                key=(split_seed, name),
                levels=levels if field == "x" else None,
            )
            for field, kind in fields.items()
        })  # fmt: skip
    record = {
        "spec": spec,
        **chosen,
        "fields": {name: kind.to_json() for name, kind in fields.items()},
        "counts": {name: len(split) for name, split in splits.items()},
        "sha256": contents.sha256,
        "sha256_of": contents.sha256_of,
    }
    return Data(fields, splits, record, contents.problems)


OPTIONS = options(load, load.__doc__)


def reload(record: dict[str, Any]) -> Data:
    """The data that `record` (of `Data.record`) was written about; a UserError if they have changed since."""
    data = load(record["spec"], **{option.name: record[option.name] for option in OPTIONS if option.name in record})
    if data.record["sha256"] != record["sha256"]:
        raise UserError(f"{record['spec']} has changed: SHA-256 {data.record['sha256'][:12]}, but the record says {record['sha256'][:12]}")
    return data


def find(spec: str, chosen: dict[str, Any]) -> tuple[str, Contents]:
    """The contents that `spec` names, and the spec as it is recorded."""
    if spec == "digits":
        return spec, arrays.digits()
    path = Path(spec).expanduser()
    if path.exists():
        return str(path.resolve()), read(path.resolve(), chosen)
    folder = os.environ.get("POFX_DATA")
    if folder and (Path(folder) / spec).exists():
        return spec, read((Path(folder) / spec).resolve(), chosen)
    known = ["digits", *(os.listdir(folder) if folder and Path(folder).is_dir() else ())]
    raise UserError(f"no data {spec!r}: neither a file or folder nor a name in $POFX_DATA; {nearest(spec, known)}")


def read(path: Path, chosen: dict[str, Any]) -> Contents:
    """The contents of a file or folder."""
    if path.is_dir():
        inside = sorted(path.iterdir())
        if arrays.idx_files(path):
            return packed(path, {}, lambda store: arrays.idx_folder(path))
        if len(inside) == 1 and inside[0].is_file():
            return read(inside[0], chosen)
        raise UserError(f"{path}: no idx files in it")
    if path.suffix == ".npy":
        return arrays.npy(path)
    if path.suffix == ".npz":
        return packed(path, {}, lambda store: arrays.npz(path))
    raise UserError(f"{path}: pofx reads folders of pictures, idx files, .npy, .npz, .csv and .parquet")


def cut(contents: Contents, valid: float | None, test: float | None, seed: int, spec: str) -> dict[str, tuple[str, np.ndarray | None]]:
    """Split -> (the part it comes from, its rows in order; None for all of them)."""
    parts = {part: len(arrays["x"]) for part, arrays in contents.parts.items()}
    for name, fraction in (("valid", valid), ("test", test)):
        if name in parts and fraction is not None:
            raise UserError(f"{spec} has its own {name} split of {parts[name]} rows: leave --{name} out")
    splits: dict[str, tuple[str, np.ndarray | None]] = {part: (part, None) for part in parts if part != "all"}
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
        if left < 1 or valid == 0 or (test and not sizes["test"]):
            shown = ", ".join(f"{n} for {name}" for name, n in sizes.items())
            raise UserError(
                f"{spec}: {len(rows)} rows are too few to cut ({shown}, {left} to train on); change --valid or --test, or add data"
            )
        if not contents.shuffled:
            rows = torch.randperm(len(rows), generator=generator(("split", seed))).numpy()
        splits["train"] = (part, np.sort(rows[:left]))
        for name in ("valid", "test"):
            if sizes.get(name):
                splits[name] = (part, np.sort(rows[left : left + sizes[name]]))
                left += sizes[name]
    return {name: splits[name] for name in ("train", "valid", "test") if name in splits}
