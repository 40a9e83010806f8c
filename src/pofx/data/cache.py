"""The one packed form on disk: memory-mapped .npy files and a manifest with their SHA-256, written once a source."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pofx.data.contents import Contents
from pofx.data.sequences import Ragged
from pofx.data.tokenizer import Tokenizer
from pofx.environment import cache_root
from pofx.errors import UserError
from pofx.kinds import Kind

VERSION = 4  # of the form; packs of another version are not read, but written anew
T = TypeVar("T")


def packs() -> Path:
    """Where packs lie: $POFX_CACHE, or ~/.cache/pofx."""
    return cache_root() / "packs"


class Store:
    """A pack while it is written: arrays are filled in place, because they may be longer than memory."""

    def __init__(self, folder: Path):
        self.folder = folder

    def create(self, part: str, field: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        path = self.folder / f"{part}.{field}.npy"
        array = np.lib.format.open_memmap(path, "w+", np.dtype(dtype), shape)
        if hasattr(os, "posix_fallocate"):  # so that a full disk is an error here, and no signal that kills the process later
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        return array


def packed(name: str, root: Path | None, files: Sequence[Path], chosen: dict[str, Any], read: Callable[[Store], Contents]) -> Contents:
    """The contents of a source, memory-mapped from its pack, which is written first unless it is there.

    Args:
        name: of the source
        root: the folder that names of files are relative to; None when the source is no file
        files: of the source; the pack is made anew when a name, a size or a time of change of one differs
        chosen: the options that change what is packed
        read: gives the contents; may create its arrays in the store

    Raises:
        UserError: the cache folder cannot be written, or is full; and what `read` raises
    """
    listing = [(str(path), (stat := path.stat()).st_size, stat.st_mtime_ns) for path in files]
    key = hashlib.sha256(json.dumps([VERSION, name, listing, chosen]).encode()).hexdigest()[:16]
    folder = packs() / f"{Path(name).stem}-{key}"
    notes: list[str] = []
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with (folder.parent / f".{folder.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # replicas that start together pack once
            if folder.exists() and (damage := damaged(folder)):
                notes.append(f"its pack was damaged ({damage}) and has been written anew")
                shutil.rmtree(folder)
            if folder.exists() and root is not None and unnumbered(folder):
                shutil.rmtree(folder)
            if not folder.exists():
                for left_over in folder.parent.glob(f".{folder.name}.*.part"):  # of a packing that was killed
                    shutil.rmtree(left_over)
                write(folder, root, files, read)
    except OSError as error:
        if error.filename and not Path(error.filename).is_relative_to(packs()):
            raise UserError(f"cannot read {error.filename}: {error.strerror}") from None
        raise UserError(f"cannot pack {name} in {folder.parent}: {error.strerror or error}; set POFX_CACHE to a folder with room") from None
    contents = opened(folder)
    contents.problems += notes
    return contents


def write(folder: Path, root: Path | None, files: Sequence[Path], read: Callable[[Store], Contents]) -> None:
    """Writes a pack beside `folder` and renames it, so that a pack is whole or not there."""
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent))
    try:
        contents = read(Store(beside))
        arrays: dict[str, dict[str, Any]] = {}
        for part, fields in contents.parts.items():
            for name, stored in fields.items():
                pieces = {"flat": stored.flat, "offsets": stored.offsets} if isinstance(stored, Ragged) else {"": stored}
                kind = contents.fields[name]
                real = kind.dtype == "float32" and not kind.levels
                for piece, array in pieces.items():
                    path = beside / f"{part}.{name}{'.' if piece else ''}{piece}.npy"
                    if not path.exists():  # else it was created in the store
                        np.save(path, array.astype(np.float32) if real else array)
                    elif isinstance(array, np.memmap):
                        array.flush()
                    about = {"part": part, "field": name, "rows": len(array), "bytes": path.stat().st_size, "sha256": sha256(path)}
                    arrays[path.name] = about | ({"piece": piece} if piece else {})
                    sync(path)
        if root is not None:
            contents.sha256, contents.sha256_of = hash_files(root, files)
        else:
            contents.sha256 = hashlib.sha256("".join(array["sha256"] for array in arrays.values()).encode()).hexdigest()
            contents.sha256_of = "the SHA-256 in hexadecimal of each packed array"
        manifest = {
            "version": VERSION,
            "sha256": contents.sha256,
            "sha256_of": contents.sha256_of,
            "fields": {name: kind.to_json() for name, kind in contents.fields.items()},
            "arrays": arrays,
            "shuffled": contents.shuffled,
            "problems": contents.problems,
            "names": contents.names,
            "groups": contents.groups,
            "columns": contents.columns,
            "tokenizers": {name: tokenizer.to_json() for name, tokenizer in contents.tokenizers.items()},
            "begins": contents.begins,
            "rows": {part: in_a_row(rows) for part, rows in contents.rows.items()},
        }
        (beside / "manifest.json").write_text(json.dumps(manifest, indent=1))
        sync(beside / "manifest.json")
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def in_a_row(rows: np.ndarray) -> list[list[int]]:
    """Numbers that rise, as the ranges that they fill: where little was left out, that is little to write.

    Example:
        >>> in_a_row(np.array([0, 2, 3, 4]))
        [[0, 1], [2, 5]]
    """
    firsts = np.flatnonzero(np.diff(rows, prepend=-2) != 1)
    return [[int(run[0]), int(run[-1]) + 1] for run in np.split(rows, firsts[1:])]


def sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_files(root: Path, files: Sequence[Path]) -> tuple[str, str]:
    """SHA-256 of the one file, or of the list of the files' names and their SHA-256; and which of the two it is."""
    if list(files) == [root]:
        return sha256(root), "the file"
    lines = "".join(f"{sha256(path)}  {path.relative_to(root).as_posix()}\n" for path in files)
    return hashlib.sha256(lines.encode()).hexdigest(), "the output of sha256sum on the files, in the order of their names"


def damaged(folder: Path, *, thorough: bool = False) -> str:
    """What is wrong with a pack: empty when nothing is. Lengths are looked at; `thorough` also takes every SHA-256."""
    try:
        arrays = json.loads((folder / "manifest.json").read_text())["arrays"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"manifest.json: {error}"
    for name, array in arrays.items():
        path = folder / name
        if not path.exists():
            return f"{name} is gone"
        if path.stat().st_size != array["bytes"]:
            return f"{name} has {path.stat().st_size} bytes instead of {array['bytes']}"
        if thorough and sha256(path) != array["sha256"]:
            return f"{name} has another SHA-256 than its manifest says"
    return ""


def unnumbered(folder: Path) -> bool:
    """Whether a pack is older than the numbers of rows in it, and rows were left out: which ones it says to people only."""
    manifest = json.loads((folder / "manifest.json").read_text())
    return "rows" not in manifest and any("left out" in problem for problem in manifest["problems"])


def opened(folder: Path) -> Contents:
    """The contents of a pack, memory-mapped."""
    manifest = json.loads((folder / "manifest.json").read_text())
    parts: dict[str, dict[str, Any]] = {}
    for file, array in manifest["arrays"].items():
        stored = np.load(folder / file, mmap_mode="r", allow_pickle=False)
        stored = stored[: array["rows"]]  # what was skipped leaves unused rows at the end
        fields_of = parts.setdefault(array["part"], {})
        if piece := array.get("piece"):
            fields_of.setdefault(array["field"], {})[piece] = stored
        else:
            fields_of[array["field"]] = stored
    for fields_of in parts.values():
        fields_of |= {name: Ragged(**pieces) for name, pieces in fields_of.items() if isinstance(pieces, dict)}
    fields = {name: Kind.from_json(kind) for name, kind in manifest["fields"].items()}
    return Contents(
        fields,
        parts,
        manifest["sha256"],
        manifest["sha256_of"],
        manifest["problems"],
        shuffled=manifest["shuffled"],
        pack=folder,
        names=manifest["names"],
        groups=manifest["groups"],
        columns=tuple(manifest["columns"]),
        tokenizers={name: Tokenizer.from_json(text) for name, text in manifest["tokenizers"].items()},
        begins={part: (line, character) for part, (line, character) in manifest["begins"].items()},
        rows={part: np.concatenate([np.arange(*run) for run in runs]) for part, runs in manifest.get("rows", {}).items()},
    )
