"""Sources that are arrays already: the built-in digits, .npy and .npz files, and folders of idx files as MNIST is published."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import re
import zipfile
import zlib
from pathlib import Path

import numpy as np

from pofx.data.contents import PARTS, Contents, typed
from pofx.errors import UserError
from pofx.kinds import Category, Image, Kind

IDX = re.compile(r"(train|t10k|test|valid)-(images|labels)[-.]idx\d-ubyte(\.gz|\.xz)?$")
IDX_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
HASHED_WHOLE = 2**28  # a longer .npy is known by its length and evenly spaced blocks of it, so that opening it stays quick


def digits() -> Contents:
    """The 1,797 handwritten digits, 8x8 with 17 grey levels, that come with scikit-learn."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x, label = bunch.images.astype(np.uint8)[:, None], bunch.target.astype(np.int64)
    sha256 = hashlib.sha256(x.tobytes() + label.tobytes()).hexdigest()
    return Contents(
        {"x": Image(1, 8, 8, levels=17), "label": Category(10)},
        {"all": {"x": x, "label": label}},
        sha256,
        "x as uint8, then label as int64",
    )


def npy(path: Path) -> Contents:
    """One array, memory-mapped: never copied, and never read whole when it is long."""
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, EOFError, OSError) as error:
        raise UserError(f"{path} is not a .npy file that can be read ({error}); write it with numpy.save") from None
    if array.ndim == 0 or len(array) == 0:
        raise UserError(f"{path}: no rows in it")
    kind, arrays = typed("x", {"all": array}, str(path))
    sha256, sha256_of = hash_file(path)
    return Contents({"x": kind}, {"all": {"x": arrays["all"]}}, sha256, sha256_of)


def hash_file(path: Path) -> tuple[str, str]:
    """SHA-256 of a file, and what it was taken of: for a long file its length and 64 evenly spaced blocks of 64 KiB."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= HASHED_WHOLE:
            return hashlib.file_digest(file, "sha256").hexdigest(), "the file"
        digest = hashlib.sha256(str(size).encode())
        for i in range(64):
            file.seek((size - 2**16) * i // 63)
            digest.update(file.read(2**16))
        return digest.hexdigest(), "the file's length in decimal, then 64 evenly spaced blocks of 64 KiB"


def npz(path: Path) -> Contents:
    """Named arrays. `x` and `label`, or `train`, `valid`, `test`, or both as in `train_x`, `x_train`, `train_labels`."""
    try:
        if not zipfile.is_zipfile(path):
            raise zipfile.BadZipFile("it is no zip archive, or its end is missing")
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} is not a .npz file that can be read ({error}); write it with numpy.savez") from None
    found: dict[str, dict[str, np.ndarray]] = {}
    for key, array in arrays.items():
        words = [
            {"val": "valid", "validation": "valid", "labels": "label", "y": "label", "images": "x"}.get(w, w)
            for w in key.lower().split("_")
        ]
        part = next((word for word in words if word in PARTS), "all")
        name = "_".join(word for word in words if word != part) or "x"
        found.setdefault("x" if len(arrays) == 1 and part == "all" else name, {})[part] = array
    if "x" not in found:
        raise UserError(f"{path} has no array named x, train or train_x; it has {', '.join(arrays) or 'nothing'}")
    return named(found, str(path))


def named(found: dict[str, dict[str, np.ndarray]], source: str) -> Contents:
    """Contents from field -> part -> array; every field must be in every part, with as many rows as the others."""
    fields: dict[str, Kind] = {}
    parts: dict[str, dict[str, np.ndarray]] = {part: {} for part in found["x"]}
    for name, arrays in found.items():
        if arrays.keys() != parts.keys():
            raise UserError(f"{source}: {name!r} is there for {', '.join(arrays)} but x for {', '.join(parts)}; give both or neither")
        fields[name], arrays = typed(name, arrays, source)
        for part, array in arrays.items():
            parts[part][name] = array
            if len(array) != len(found["x"][part]) or len(array) == 0:
                rows = f"{len(found['x'][part])} rows of x and {len(array)} of {name}{'' if part == 'all' else ' in ' + part}"
                raise UserError(f"{source}: {rows}; every row needs one of each")
    if "all" not in parts and "train" not in parts:
        raise UserError(f"{source} has {', '.join(parts)} but no train")
    if "all" in parts and len(parts) > 1:
        raise UserError(f"{source} has x and also {', '.join(p for p in parts if p != 'all')}; name the first train")
    return Contents(fields, parts)


def idx_files(folder: Path) -> dict[str, dict[str, Path]]:
    """Field -> part -> file, for the files in `folder` that are named as MNIST's are."""
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir()):
        if match := IDX.fullmatch(path.name):
            part = "test" if match[1] == "t10k" else match[1]
            found.setdefault("x" if match[2] == "images" else "label", {})[part] = path
    return found


def idx_folder(folder: Path) -> Contents:
    """The idx files of `folder`. Their rows come in no particular order, so the end of train is the customary validation split."""
    files = idx_files(folder)
    if "train" not in files.get("x", {}):
        raise UserError(f"{folder} has no train-images-idx3-ubyte file (.gz and .xz are read too)")
    contents = named({name: {part: idx(path) for part, path in parts.items()} for name, parts in files.items()}, str(folder))
    contents.shuffled = True
    return contents


def idx(path: Path) -> np.ndarray:
    """The array in an idx file, plain or compressed with gzip or xz.

    The format: two zero bytes, a type byte, the number of dimensions, each dimension as a big-endian uint32, the numbers.
    """
    try:
        content = {".gz": gzip.decompress, ".xz": lzma.decompress}.get(path.suffix, bytes)(path.read_bytes())
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise UserError(f"{path} is damaged ({error}); get it again") from None
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in IDX_TYPES or len(content) < 4 + 4 * content[3]:
        raise UserError(f"{path} is not an idx file: it does not begin as one")
    shape = tuple(np.frombuffer(content, ">u4", content[3], 4).tolist())
    dtype = np.dtype(IDX_TYPES[content[2]])
    wanted = 4 + 4 * len(shape) + int(np.prod(shape)) * dtype.itemsize
    if len(content) != wanted:
        raise UserError(f"{path} is damaged: {len(content)} bytes where its header says {wanted}; get it again")
    array = np.frombuffer(content, dtype, offset=4 + 4 * len(shape)).reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)
