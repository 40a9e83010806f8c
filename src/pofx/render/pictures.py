"""Arrays to pictures: grids of examples, labelled rows, plots. Deterministic: the same numbers give the same bytes.

No pixel is lost: small pictures are enlarged by whole numbers, large ones stay as they are.

Shapes: N examples, C channels, H x W pixels.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
from PIL.Image import Image as Picture

from pofx.errors import UserError
from pofx.kinds import Image, Kind
from pofx.kinds.shown import Curves, Points, Tiles

TILE = 48  # smaller pictures are enlarged by the whole number that makes their longer side at least this many pixels
GAP = 2
PAPER, INK = (255, 255, 255), (30, 30, 30)
UNKNOWN = (168, 184, 208)  # of pixels that are not known
FRAMES, GROWING, HELD = 64, 5000, 1500  # of a film: frames at most, milliseconds that it takes, and those that the last is held
LINES = 24  # at most so many lines in one plot of vectors
CHANNELS = 8  # at most so many channels of a series are drawn, one plot each


def grid(x: np.ndarray, kind: Kind, *, columns: int | None = None, scale: int | None = None) -> Picture:
    """Examples side by side; vectors and sequences, which are no pictures, as plots.

    Args:
        x: (N, *kind.shape); pictures in [0, 1], what lies outside is clipped
        kind: of each example
        columns: in the grid; by default as near to square as can be
        scale: whole number to enlarge by; by default so that a tile has 48 pixels or more

    Example:
        >>> grid(np.zeros((6, 1, 8, 8)), Image(1, 8, 8), columns=3).size
        (152, 102)
    """
    match kind.draw(x):
        case Tiles(values):
            tiles = _tiles(values, scale)
        case Curves(values, axis):
            return _plotted(values, axis)
        case Points(values):
            return scatter(values, title=f"{len(x)} examples", x="first number", y="second number")
        case _:
            raise UserError(f"examples of kind {kind} are read, not drawn")
    n, height, width, _ = tiles.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    sheet = np.full((rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, 3), PAPER, np.uint8)
    for i, tile in enumerate(tiles):
        top, left = GAP + i // columns * (height + GAP), GAP + i % columns * (width + GAP)
        sheet[top : top + height, left : left + width] = tile
    return Pillow.fromarray(sheet)


def masked(x: np.ndarray, known: np.ndarray, kind: Kind) -> tuple[np.ndarray, Kind]:
    """Examples with what is not known of them in a colour of its own, as pictures in colour; as gaps, where they are no pictures.

    Args:
        x: (N, *kind.shape), real numbers
        known: bool, of the same shape; a pixel is known if all its channels are
        kind: of each example

    Returns:
        what is to be drawn, and its kind
    """
    if not (kind.picture and len(kind.places) == 2):
        return np.where(known, x, np.nan), kind
    shape = (len(x), -1, *kind.shape[-2:])
    whole = np.all(known.reshape(shape), axis=1, keepdims=True)
    return np.where(whole, x.reshape(shape), np.array(UNKNOWN)[:, None, None] / 255), Image(3, *kind.shape[-2:])


def growth(x: np.ndarray, kind: Kind, order: np.ndarray, *, columns: int | None = None) -> tuple[list[Picture], list[int]]:
    """A grid of pictures that grow number by number, as they were drawn: frames, and for how many milliseconds each is shown.

    Args:
        x: (N, *kind.shape), the pictures when all is drawn
        kind: of each picture
        order: int (D,), the places of the flattened picture in the order in which they were drawn
        columns: in the grid; by default as near to square as can be
    """
    frames = [grid(*masked(x, known, kind), columns=columns) for known in _frames(x, order, FRAMES)]
    palette = stacked([frames[0], frames[-1]]).quantize(256)  # every colour is in one of these two
    each = 10 * round(GROWING / len(frames) / 10)  # a GIF counts hundredths of a second
    return [frame.quantize(palette=palette, dither=Pillow.Dither.NONE) for frame in frames], [each] * (len(frames) - 1) + [HELD]


def moments(x: np.ndarray, kind: Kind, order: np.ndarray) -> Picture:
    """A few moments of what `growth` shows: a row for each of the first pictures, from nothing to all. Arguments as there."""
    x = x[:8]
    stages = [grid(*masked(x, known, kind), columns=1) for known in _frames(x, order, 8)]
    sheet = Pillow.new("RGB", (sum(stage.width - GAP for stage in stages) + GAP, stages[0].height), PAPER)
    for i, stage in enumerate(stages):
        sheet.paste(stage, (i * (stage.width - GAP), 0))
    return sheet


def _frames(x: np.ndarray, order: np.ndarray, steps: int) -> list[np.ndarray]:
    """What is known of x (N, *shape), bool, when nothing, a little more in each of so many even steps, and all has been drawn."""
    rank = np.argsort(order).reshape(x.shape[1:])
    return [np.broadcast_to(rank < count, x.shape) for count in np.unique(np.linspace(0, len(order), steps + 1).round())]


def labelled_rows(rows: Mapping[str, tuple[np.ndarray, Kind]], title: str = "") -> Picture:
    """One row of examples a label, the labels on the left: originals above reconstructions, one model under another.

    Args:
        rows: label -> (examples (N, *kind.shape), their kind)
        title: above all
    """
    strips = {label: grid(x, kind, columns=len(x)) for label, (x, kind) in rows.items()}
    font = ImageFont.load_default(14)
    margin = 12 + max((math.ceil(font.getlength(label)) for label in strips), default=0)
    top = 28 if title else 0
    width = margin + max(strip.width for strip in strips.values())
    sheet = Pillow.new("RGB", (max(width, 12 + math.ceil(font.getlength(title))), top + sum(s.height for s in strips.values())), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((6, top / 2), title, INK, font, anchor="lm")
    for label, strip in strips.items():
        draw.text((6, top + strip.height / 2), label, INK, font, anchor="lm")
        sheet.paste(strip, (margin, top))
        top += strip.height
    return sheet


def stacked(pictures: Sequence[Picture]) -> Picture:
    """Pictures one under another, on paper as wide as the widest."""
    sheet = Pillow.new("RGB", (max(p.width for p in pictures), sum(p.height for p in pictures)), PAPER)
    top = 0
    for picture in pictures:
        sheet.paste(picture, (0, top))
        top += picture.height
    return sheet


def curves(lines: Mapping[str, tuple[Sequence[float], Sequence[float]]], *, title: str, x: str, y: str) -> Picture:
    """Lines in one plot.

    Args:
        lines: label -> (positions, values)
        title: above the plot
        x: what the positions are
        y: what the values are, with their unit
    """
    figure, axes = _figure()
    for label, (positions, values) in lines.items():
        axes.plot(positions, values, label=label, linewidth=1.5, marker="." if len(positions) < 3 else None)
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.legend(frameon=False)
    return figure_to_picture(figure)


def scatter(points: np.ndarray, *, title: str, x: str, y: str, labels: Sequence[str] | None = None) -> Picture:
    """Points (N, 2), coloured by label where there are labels."""
    figure, axes = _figure()
    groups = np.array([""] * len(points) if labels is None else labels)
    names = sorted(set(groups.tolist()), key=lambda name: (len(name), name))
    for i, name in enumerate(names):
        chosen = points[groups == name]
        axes.plot(chosen[:, 0], chosen[:, 1], ".", markersize=3, label=name, color=f"C{i % 10}")
    axes.set(title=title, xlabel=x, ylabel=y)
    if 1 < len(names) <= 20:
        axes.legend(frameon=False, markerscale=3, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure_to_picture(figure)


def plane(points: np.ndarray, behind: np.ndarray, *, size: int = 320) -> Picture:
    """Points (N, 2) in colour over others (M, 2) in grey, in a frame that depends on the others alone: a series of them is a film.

    Args:
        points: those outside the frame are left out
        behind: they fill the middle of the frame
        size: pixels of each side
    """
    low, high = behind.min(0), behind.max(0)
    centre, reach = (low + high) / 2, 0.65 * max(float((high - low).max()), 1e-9)
    sheet = Pillow.new("RGB", (size, size), PAPER)
    draw = ImageDraw.Draw(sheet)
    for some, radius, colour in ((behind, 2, UNKNOWN), (points, 1, (200, 60, 30))):
        at = np.rint((some - centre) / reach * size / 2 * [1, -1] + size / 2)
        for x, y in at[((at >= 0) & (at < size)).all(1)].tolist():
            draw.rectangle((x - radius, y - radius, x + radius, y + radius), colour)
    return sheet


def fan(past: np.ndarray, quantiles: np.ndarray, levels: Sequence[float], names: Sequence[str], *, title: str, x: str) -> Picture:
    """The end of a series and where it may go, one plot a channel: lines for the past and the middle quantile, bands between the others.

    Args:
        past: (K, C), the last known step last
        quantiles: (Q, H, C) of the H steps that follow
        levels: of the Q quantiles, rising
        names: of the C channels; the first `CHANNELS` are drawn
        title: above the plots
        x: what the steps are counted from
    """
    channels = min(len(names), CHANNELS)
    figure, first = _figure(channels)
    steps, future = np.arange(1 - len(past), 1), np.arange(quantiles.shape[1] + 1)
    for c, axes in enumerate([first] if channels == 1 else first):
        axes.plot(steps, past[:, c], color="0.3", linewidth=1)
        from_end = np.concatenate([np.broadcast_to(past[-1, c], (len(levels), 1)), quantiles[:, :, c]], 1)  # (Q, 1 + H)
        bands = len(levels) // 2
        for i in range(bands):
            between = {"label": f"{levels[i]:g} to {levels[-1 - i]:g}", "alpha": 0.6 * (i + 1) / (bands + 1)}
            axes.fill_between(future, from_end[i], from_end[-1 - i], color="C0", linewidth=0, **between)
        if len(levels) % 2:
            axes.plot(future, from_end[bands], color="C0", linewidth=1.5, label=f"{levels[bands]:g}")
        axes.set(ylabel=names[c])
    last = first if channels == 1 else first[-1]
    last.set(xlabel=x)
    figure.legend(*last.get_legend_handles_labels(), title="quantiles", frameon=False, loc="outside right upper")
    more = f", first {channels} of {len(names)} channels" if channels < len(names) else ""
    figure.suptitle(title + more, fontsize="large")
    return figure_to_picture(figure)


def _tiles(x: np.ndarray, scale: int | None) -> np.ndarray:
    """Pictures (N, 1, H, W) or (N, 3, H, W) in [0, 1] as uint8 (N, H', W', 3)."""
    tiles = np.rint(np.clip(np.nan_to_num(x), 0, 1) * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    tiles = np.repeat(tiles, 3, axis=3) if tiles.shape[3] == 1 else tiles
    scale = scale or max(1, math.ceil(TILE / max(tiles.shape[1:3])))
    return tiles.repeat(scale, axis=1).repeat(scale, axis=2)


def _plotted(x: np.ndarray, axis: str) -> Picture:
    """Examples (N, lines, points) as lines in one plot, the first of them if there are many."""
    shown = x[:LINES]
    figure, axes = _figure()
    for i, example in enumerate(shown):
        for line in example:
            axes.plot(line, linewidth=1, color=f"C{i % 10}", alpha=0.7, marker="." if len(line) < 30 else None)
    which = f"first {len(shown)} of {len(x)} examples" if len(shown) < len(x) else f"{len(x)} examples"
    axes.set(title=which, xlabel=axis, ylabel="value")
    return figure_to_picture(figure)


def _figure(rows: int = 1) -> tuple[Any, Any]:
    """A figure and its axes; of several rows, an array of axes that share what is below."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4 if rows == 1 else 1 + 1.6 * rows), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, sharex=True)
    for one in [axes] if rows == 1 else axes:
        one.spines[["top", "right"]].set_visible(False)
    return figure, axes


def figure_to_picture(figure: Any) -> Picture:
    """A figure of matplotlib as a picture."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    buffer.seek(0)
    return Pillow.open(buffer).convert("RGB")
