"""Pictures: folders of them, JSON lines that name them, and anything else that Pillow can open."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
from PIL import ImageOps

from pofx.data.cache import Store
from pofx.data.contents import PARTS, Contents
from pofx.data.sources.lines import objects
from pofx.errors import Uneven, UserError, nearest
from pofx.kinds import Category, Image, Kind
from pofx.progress import progress

PART_FOLDERS = {"train": "train", "training": "train", "valid": "valid", "val": "valid", "validation": "valid", "test": "test"}
PICTURE_KEYS = ("image", "file_name", "file")  # of JSON lines
CLUTTER = {"Thumbs.db", "desktop.ini"}  # what file browsers leave behind; hidden files are passed over too


class Picture(NamedTuple):
    """A picture not read yet: its name for messages, and how it is opened."""

    name: str
    open: Callable[[], PIL.Image.Image]


def files_below(folder: Path) -> list[Path]:
    """Every file at any depth that is not hidden, sorted by name."""
    paths = (path for path in folder.rglob("*") if path.name not in CLUTTER)
    return sorted(path for path in paths if path.is_file() and not any(name.startswith(".") for name in path.relative_to(folder).parts))


def is_picture(path: Path) -> bool:
    """Whether a file is named as a picture."""
    return path.suffix.lower() in PIL.Image.registered_extensions()


def folder_of_pictures(folder: Path, files: Sequence[Path], chosen: dict[str, Any], store: Store) -> Contents:
    """Pictures at any depth below `folder`.

    Subfolders train, valid and test (and no other) are splits; the subfolders next to each other below that, where every picture
    is in one, are its classes.
    """
    top = {path.relative_to(folder).parts[0] for path in files}
    own = "train" in {PART_FOLDERS.get(name.lower()) for name in top} and all(name.lower() in PART_FOLDERS for name in top)
    parts: dict[str, list[Path]] = {}
    for path in files:
        name = path.relative_to(folder).parts[0]
        parts.setdefault(PART_FOLDERS[name.lower()] if own else "all", []).append(path)
    parts = {part: parts[part] for part in ("all", *PARTS) if part in parts}
    pictures = {part: [Picture(str(path.relative_to(folder)), opener(path)) for path in paths] for part, paths in parts.items()}
    kind, x, rows_kept, problems = decode(pictures, str(folder), chosen, store)
    contents = Contents({"x": kind}, {part: {"x": x[part]} for part in parts}, problems=problems)
    contents.names = {part: [pictures[part][i].name for i in rows_kept[part]] for part in parts}
    for part in parts:
        contents.number(part, rows_kept[part])
    below = {part: [paths[i].relative_to(folder).parts[own:] for i in rows_kept[part]] for part, paths in parts.items()}
    classes = {names[0] for part in below.values() for names in part}
    if len(classes) > 1 and all(len(names) > 1 for part in below.values() for names in part):
        contents.add("label", *Category.of({part: np.array([names[0] for names in below[part]]) for part in parts}))
    return contents


def json_lines(path: Path, chosen: dict[str, Any], store: Store) -> Contents:
    """Pictures named by the lines of a .jsonl file, as {"image": "cats/1.png", "caption": "a cat", "label": "cat"}.

    Captions and what else is there stay out of the batches.
    """
    numbers, lines = zip(*read_lines(path), strict=True)
    pictures = [Picture(line["image"], opener(path.parent / line["image"])) for line in lines]
    kind, x, rows_kept, problems = decode({"all": pictures}, str(path), chosen, store)
    contents = Contents({"x": kind}, {"all": {"x": x["all"]}}, problems=problems)
    contents.names = {"all": [pictures[i].name for i in rows_kept["all"]]}
    contents.number("all", [numbers[i] - 1 for i in rows_kept["all"]])
    label = chosen["label"] or "label"
    having = [label in line for line in lines]
    if chosen["label"] and not all(having):
        known = [key for key in lines[0] if key != "image"]
        raise UserError(f"{path}: line {numbers[having.index(False)]} has no {label!r}; {nearest(label, known)}")
    if all(having):
        contents.add("label", *Category.of({"all": np.array([str(lines[i][label]) for i in rows_kept["all"]])}))
    if left_out := sorted(set().union(*lines) - {"image", label}):
        contents.problems.append(f"{path.name}: {', '.join(left_out)} left out of the batches: not pictures, numbers or classes")
    return contents


def read_lines(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """The number and the object of each line of a .jsonl file that names pictures, with its picture under "image"."""
    lines = []
    for number, line in objects(path):
        image = next((line.pop(key) for key in PICTURE_KEYS if key in line), None)
        if not isinstance(image, str):
            raise UserError(f'{path}: line {number} names no picture; write {{"image": "path/of/it.png", "caption": "..."}}')
        lines.append((number, {"image": image, **line}))
    return lines


def opener(path: Path) -> Callable[[], PIL.Image.Image]:
    """How the picture in a file is opened."""
    return lambda: PIL.Image.open(path)


def decode(
    parts: dict[str, list[Picture]], source: str, chosen: dict[str, Any], store: Store, field: str = "x"
) -> tuple[Kind, dict[str, np.ndarray], dict[str, list[int]], list[str]]:
    """Decodes pictures into the store, as the arrays of `field`.

    Returns:
        their kind; part -> uint8 array (n, c, h, w); part -> which of its pictures these are; problems by name
    """
    size, channels, skip_bad = chosen["size"], chosen["channels"], chosen["skip_bad"]
    bad: dict[str, str] = {}
    sizes: dict[tuple[int, int], str] = {}  # each with the name of a picture that has it
    colours: dict[str, str] = {}
    transparent = 0
    total = sum(map(len, parts.values()))
    for picture in progress(itertools.chain(*parts.values()), total, f"looking at {source}"):
        try:
            with picture.open() as opened:
                sizes.setdefault(_upright_size(opened), picture.name)
                colours.setdefault(_colours(opened), picture.name)
                transparent += opened.has_transparency_data
        except Exception as error:  # Pillow's readers raise errors of many types at broken files
            bad[picture.name] = _reason(error)
    if bad and not skip_bad:
        raise _unreadable(source, bad)
    if not sizes:
        raise UserError(f"{source}: no pictures in it" + (f" that can be read ({_listed(bad)})" if bad else ""))
    if size is None and len(sizes) > 1:
        small, large = min(sizes), max(sizes)
        between = f"from {small[0]}x{small[1]} ({sizes[small]}) to {large[0]}x{large[1]} ({sizes[large]})"
        raise Uneven(f"{source}: pictures of {len(sizes)} sizes, {between}; make them one size with --size, such as --size 64")
    if channels is None and len(colours) > 1:
        raise Uneven(
            f"{source}: some pictures are grey ({colours['grey']}) and some rgb ({colours['rgb']}); "
            "make them one with --channels grey or --channels rgb"
        )
    colour = channels or next(iter(colours))
    width, height = size if isinstance(size, tuple) else (size, size) if size else next(iter(sizes))
    changed = made_like(sizes, set(colours), size, colour, source) if isinstance(size, tuple) else []
    kind = Image(1 if colour == "grey" else 3, height, width)

    arrays: dict[str, np.ndarray] = {}
    rows_kept: dict[str, list[int]] = {}

    def read(picture: Picture) -> np.ndarray | str:
        try:
            with picture.open() as opened:
                return pixels(opened, size, colour)
        except Exception as error:
            return _reason(error)

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for part, pictures in parts.items():
            arrays[part] = store.create(part, field, (len(pictures), *kind.shape), np.uint8)
            rows_kept[part] = []
            chunks = (pictures[i : i + 256] for i in range(0, len(pictures), 256))  # decoded pictures that wait to be written
            results = itertools.chain.from_iterable(pool.map(read, chunk) for chunk in chunks)
            for i, result in enumerate(progress(results, len(pictures), f"packing {part} of {source}")):
                if isinstance(result, str):
                    bad[pictures[i].name] = result
                else:
                    arrays[part][len(rows_kept[part])] = result
                    rows_kept[part].append(i)
            arrays[part] = arrays[part][: len(rows_kept[part])]
    bad = {picture.name: bad[picture.name] for pictures in parts.values() for picture in pictures if picture.name in bad}
    if bad and not skip_bad:
        raise _unreadable(source, bad)
    for part in parts:
        if not rows_kept[part]:
            raise UserError(f"{source}: {part} has no pictures that can be read ({_listed(bad)})")
    problems = [f"{name}: left out, {reason}" for name, reason in bad.items()] + changed
    if transparent:
        problems.append(f"{transparent} pictures are partly transparent: laid on white")
    return kind, arrays, rows_kept, problems


def made_like(sizes: dict[tuple[int, int], str], colours: set[str], size: tuple[int, int], colour: str, source: str) -> list[str]:
    """What it says of pictures that they are brought to a size, width before height, and to a colour.

    Args:
        sizes: that there are, each with the name of a picture that has it
        colours: likewise
        size: that they are brought to
        colour: likewise
        source: for messages

    Raises:
        UserError: names a picture that is not of the same shape, so that it would have to be stretched or cut
    """
    for (width, height), name in sizes.items():
        if width * size[1] != height * size[0]:
            raise UserError(
                f"{source}: {name} is {width}x{height}, and {size[0]}x{size[1]} is wanted, which is another shape: "
                "cut it to that shape, or put a margin around it"
            )
    others = [f"{width}x{height} ({name})" for (width, height), name in sizes.items() if (width, height) != size]
    said = [f"pictures of {', '.join(others[:5])}{', ...' if len(others) > 5 else ''} are made {size[0]}x{size[1]}"] if others else []
    return said + [f"pictures that are {other} are made {colour}" for other in sorted(colours - {colour})]


def pixels(picture: PIL.Image.Image, size: int | tuple[int, int] | None, channels: str) -> np.ndarray:
    """A picture as uint8 (c, h, w): upright, on white where it is transparent, grey or rgb.

    Args:
        picture: of any mode
        size: pixels a side, that it is resized and cut at its centre to; or width and height
        channels: grey or rgb
    """
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I;16"):
        picture = PIL.Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    elif picture.mode in ("I", "F"):
        raise ValueError(f"its pixels are 32-bit numbers (Pillow's mode {picture.mode}), not 256 levels")
    if picture.has_transparency_data:
        picture = PIL.Image.alpha_composite(PIL.Image.new("RGBA", picture.size, "white"), picture.convert("RGBA"))
    picture = picture.convert("L" if channels == "grey" else "RGB")
    if size:
        picture = ImageOps.fit(picture, size if isinstance(size, tuple) else (size, size), PIL.Image.Resampling.LANCZOS)
    array = np.asarray(picture)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def fit(contents: Contents, source: str, chosen: dict[str, Any], create: Callable[..., np.ndarray]) -> Contents:
    """The contents with their pictures at the size and channels that were chosen, in arrays that `create` makes."""
    size, channels, x = chosen["size"], chosen["channels"], contents.fields["x"]
    if size is None and channels is None:
        return contents
    try:
        kind = contents.fields["x"] = x.at(size, channels)
    except UserError:
        raise UserError(f"{source} has x: {x}; --size and --channels are for pictures: remove them") from None
    own, colour = ("grey" if of.shape[0] == 1 else "rgb" for of in (x, kind))
    if isinstance(size, tuple):
        _, height, width = x.shape
        contents.problems += made_like({(width, height): "all of them"}, {own}, size, colour, source)
    for part, fields in contents.parts.items():
        stored = fields["x"]
        fields["x"] = create(part, "x", (len(stored), *kind.shape), np.uint8)
        for i, row in enumerate(progress(stored, len(stored), f"packing {part} of {source}")):
            grey_or_rgb = np.asarray(row if x.levels == 256 else np.rint(row * (255 / (x.levels - 1)))).astype(np.uint8)
            picture = PIL.Image.fromarray(grey_or_rgb[0] if own == "grey" else np.ascontiguousarray(grey_or_rgb.transpose(1, 2, 0)))
            fields["x"][i] = pixels(picture, size, colour)
    return contents


def _upright_size(picture: PIL.Image.Image) -> tuple[int, int]:
    turned = picture.getexif().get(0x0112, 1) >= 5  # the EXIF orientations 5 to 8 lie on their side
    return (picture.height, picture.width) if turned else picture.size


def _colours(picture: PIL.Image.Image) -> str:
    return "grey" if picture.mode in ("1", "L", "LA", "I", "F") or picture.mode.startswith("I;16") else "rgb"


def _reason(error: Exception) -> str:
    if isinstance(error, PIL.UnidentifiedImageError):
        return "not a picture"
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(said.split()) or type(error).__name__


def _listed(bad: dict[str, str]) -> str:
    shown = "; ".join(f"{name}: {reason}" for name, reason in itertools.islice(bad.items(), 5))
    return shown + (f"; and {len(bad) - 5} more" if len(bad) > 5 else "")


def _unreadable(source: str, bad: dict[str, str]) -> UserError:
    files, them = ("1 file", "it") if len(bad) == 1 else (f"{len(bad)} files", "them")
    return UserError(f"{source}: {files} cannot be read ({_listed(bad)}); fix or remove {them}, or skip {them} with --skip-bad")
