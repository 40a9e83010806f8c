"""What is known of items that are to be completed: a region, a fraction, a mask in a file, or whatever is not NaN."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from pofx.errors import UserError, nearest

if TYPE_CHECKING:
    import numpy as np

    from pofx.kinds import Kind

REGIONS = ("top", "bottom", "left", "right", "centre", "border", "checkerboard")  # of pictures


def mask(what: str, kind: Kind, n: int, seed: int = 0) -> np.ndarray:
    """What is known of each of `n` items, bool (n, *kind.shape). A picture's channels and a step's channels are known together.

    Args:
        what: one of `REGIONS`; first (half); a fraction, drawn at random for each item; a .png (white is known) or a .npy (true is known)
        kind: of an item
        n: how many items
        seed: of a random mask

    Example:
        >>> from pofx.kinds import Image
        >>> mask("left", Image(1, 2, 4), 1).astype(int).tolist()
        [[[[1, 1, 0, 0], [1, 1, 0, 0]]]]
    """
    import numpy as np

    shape, places = kind.shape, kind.places
    if Path(what).suffix.lower() in (".png", ".npy"):
        known = _from_file(Path(what), shape, places)
    elif what == "first":
        known = (np.arange(math.prod(places)) < math.prod(places) // 2).reshape(places)
    elif what in REGIONS:
        if len(places) != 2:
            raise UserError(f"--known {what} is for pictures, and x is {kind}: use first, a fraction from 0 to 1, or a .npy")
        known = _region(what, *places)
    else:
        try:
            fraction = float(what)
        except ValueError:
            fraction = math.nan
        if not 0 <= fraction <= 1:
            words = nearest(what, ("first", *REGIONS))
            raise UserError(f"--known {what}: {words}; or use a fraction from 0 to 1, a .png (white is known) or a .npy (true is known)")
        rank = np.random.default_rng(seed).random((n, math.prod(places))).argsort(1).argsort(1)
        known = (rank < round(fraction * math.prod(places))).reshape(n, *places)
    if known.shape[-len(shape) :] != shape:
        known = kind.spread(known)
    if known.ndim > len(shape) and len(known) != n:
        raise UserError(f"--known {what} has masks for {len(known)} items, and there are {n}: give one for each, or one for all")
    return np.broadcast_to(known, (n, *shape)).copy()


def _region(name: str, height: int, width: int) -> np.ndarray:
    import numpy as np

    row, column = np.arange(height)[:, None], np.arange(width)[None]
    inside = (abs(2 * row - height + 1) < height / 2) & (abs(2 * column - width + 1) < width / 2)
    return {
        "top": np.broadcast_to(row < height // 2, (height, width)),
        "bottom": np.broadcast_to(row >= height // 2, (height, width)),
        "left": np.broadcast_to(column < width // 2, (height, width)),
        "right": np.broadcast_to(column >= width // 2, (height, width)),
        "centre": inside,
        "border": ~inside,
        "checkerboard": (row + column) % 2 == 0,
    }[name]


def _from_file(path: Path, shape: tuple[int, ...], places: tuple[int, ...]) -> np.ndarray:
    """A mask of the shape of places, of an item, or of several items."""
    import numpy as np
    from PIL import Image as Pillow

    if not path.is_file():
        raise UserError(f"--known {path}: no such file")
    try:
        known = np.load(path, allow_pickle=False) if path.suffix.lower() == ".npy" else np.asarray(Pillow.open(path).convert("L")) >= 128
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"--known {path} cannot be read: {' '.join(str(error).split())}") from None
    if known.dtype != bool and not np.isin(known, (0, 1)).all():
        raise UserError(f"--known {path} must hold true and false, or 1 and 0: save it with numpy.save(path, mask.astype(bool))")
    if shape not in (known.shape, known.shape[1:]) and places not in (known.shape, known.shape[1:]):
        raise UserError(f"--known {path} is a mask of shape {known.shape}, but an item has {shape}: make it {places} or {shape}")
    return known.astype(bool)


def with_holes(path: Path, kind: Kind) -> tuple[np.ndarray, np.ndarray] | None:
    """The items of a .npy in which NaN stands for what is not known: float32 (n, *kind.shape) with 0 there, and what is known.

    Nothing, where the file is no such array.

    Raises:
        UserError: the items are not of `kind`
    """
    import numpy as np

    if path.suffix.lower() != ".npy" or not path.is_file():
        return None
    try:
        x = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None  # whoever reads data says what is wrong with it
    if x.dtype.kind != "f" or not np.isnan(x).any():
        return None
    if len(kind.shape) == 3 and kind.shape[0] == 1 and x.shape[1:] == kind.shape[1:]:
        x = x[:, None]
    if x.shape[1:] != kind.shape:
        raise UserError(f"{path} has items of shape {x.shape[1:]}, and the model was made for {kind}: save it with shape (n, {kind.shape})")
    known = ~np.isnan(x)
    x = np.where(known, x, 0).astype(np.float32)
    if levels := kind.levels:
        whole = np.rint(x * (levels - 1))
        if np.abs(x * (levels - 1) - whole).max() > 1e-3 or whole.min() < 0 or whole.max() > levels - 1:
            raise UserError(
                f"{path} has numbers that are none of the {levels} levels of {kind}: what is known must be k / {levels - 1}, k from 0"
            )
        x = (whole / (levels - 1)).astype(np.float32)
    if not np.isfinite(x).all():
        raise UserError(f"{path} has infinite numbers: only NaN stands for what is not known")
    return x, known
