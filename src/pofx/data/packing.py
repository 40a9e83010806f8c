"""The one packed form on disk: memory-mapped .npy files and a manifest with their SHA-256, written once a source."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pofx.data.contents import Contents
from pofx.kinds import Kind

VERSION = 1  # of the form; older packs are written anew


def cache() -> Path:
    """Where packs lie: $POFX_CACHE, or ~/.cache/pofx."""
    return Path(os.environ.get("POFX_CACHE") or "~/.cache/pofx").expanduser() / "packs"


def files_of(source: Path) -> list[Path]:
    """The source itself, or every file below it, in the order of their names."""
    return sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source]


class Store:
    """A pack while it is written: arrays that are filled in place, because they may be longer than memory."""

    def __init__(self, folder: Path):
        self.folder = folder

    def create(self, part: str, field: str, shape: tuple[int, ...], dtype: Any) -> np.memmap:
        return np.lib.format.open_memmap(self.folder / f"{part}.{field}.npy", "w+", np.dtype(dtype), shape)


def packed(source: Path, chosen: dict[str, Any], read: Callable[[Store], Contents]) -> Contents:
    """The contents of `source`, memory-mapped from its pack, which is written first unless it is there.

    Args:
        source: a file or folder; the pack is made anew when a name, a size or a time of change in it differs
        chosen: the options that change what is packed
        read: gives the contents; may put arrays into the store
    """
    listing = [(str(path.relative_to(source)), path.stat().st_size, path.stat().st_mtime_ns) for path in files_of(source)]
    key = hashlib.sha256(json.dumps([VERSION, str(source), listing, chosen], default=str).encode()).hexdigest()[:16]
    folder = cache() / f"{source.stem}-{key}"
    if not (folder / "manifest.json").exists():
        write(folder, source, read)
    return opened(folder)


def write(folder: Path, source: Path, read: Callable[[Store], Contents]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        contents = read(Store(beside))
        arrays = {}
        for part, fields in contents.parts.items():
            for name, array in fields.items():
                path = beside / f"{part}.{name}.npy"
                if path.exists():  # filled in place; rows at its end may be unused
                    array.flush()  # type: ignore[attr-defined]
                else:
                    np.save(path, array)
                with path.open("rb") as file:
                    arrays[path.name] = {
                        "part": part, "field": name, "rows": len(array), "bytes": path.stat().st_size,
                        "sha256": hashlib.file_digest(file, "sha256").hexdigest(),
                    }  # fmt: skip
                    os.fsync(file.fileno())
        sha256, sha256_of = source_hash(source)
        manifest = {
            "version": VERSION,
            "source": str(source),
            "sha256": sha256,
            "sha256_of": sha256_of,
            "fields": {name: kind.to_json() for name, kind in contents.fields.items()},
            "arrays": arrays,
            "shuffled": contents.shuffled,
            "problems": contents.problems,
        }
        (beside / "manifest.json").write_text(json.dumps(manifest, indent=1))
        try:
            beside.rename(folder)
        except OSError:  # another process was first
            if not (folder / "manifest.json").exists():
                raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def source_hash(source: Path) -> tuple[str, str]:
    """SHA-256 of a file, or of the sorted list of a folder's file names and their SHA-256."""
    digest = hashlib.sha256()
    for path in files_of(source):
        with path.open("rb") as file:
            one = hashlib.file_digest(file, "sha256").hexdigest()
        if not source.is_dir():
            return one, "the file"
        digest.update(f"{one}  {path.relative_to(source).as_posix()}\n".encode())
    return digest.hexdigest(), "the output of sha256sum on the folder's files, in the order of their names"


def opened(folder: Path) -> Contents:
    manifest = json.loads((folder / "manifest.json").read_text())
    parts: dict[str, dict[str, np.ndarray]] = {}
    for file, array in manifest["arrays"].items():
        parts.setdefault(array["part"], {})[array["field"]] = np.load(folder / file, mmap_mode="r", allow_pickle=False)[: array["rows"]]
    fields = {name: Kind.from_json(kind) for name, kind in manifest["fields"].items()}
    return Contents(fields, parts, manifest["sha256"], manifest["sha256_of"], manifest["problems"], manifest["shuffled"])
