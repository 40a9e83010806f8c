"""Numbers for pairs of tokens, or for tokens and units, as coloured cells with the tokens' texts beside them.

Deterministic, as all pictures are: the same numbers give the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from PIL.Image import Image as Picture

from pofx.render.pictures import figure_to_picture

LABELS = 80  # at most so many along a side: of more tokens only the first are drawn
CELL = 0.16  # inches
PANELS = 8  # at most so many in one picture


def heat(
    panels: Mapping[str, np.ndarray],
    rows: Mapping[str, Sequence[str]],
    columns: Mapping[str, Sequence[str]],
    *,
    title: str,
    signed: bool = False,
) -> tuple[Picture, str | None]:
    """Matrices of coloured cells, one under another or side by side, whichever is nearer to a square.

    Args:
        panels: title -> numbers (R, C)
        rows: title -> what each row is called, (R,); none for a panel whose rows have no names
        columns: title -> what each column is called, (C,), likewise
        title: above all
        signed: numbers are from -1 to 1, in two colours; else from 0

    Returns:
        the picture, and a line that says what could not be drawn as it is: characters of which no font is installed
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = {name: matrix[:LABELS, :LABELS] for name, matrix in list(panels.items())[:PANELS]}
    words = [word for name in shown for words in (rows.get(name, ()), columns.get(name, ())) for word in words]
    families, missing = fonts("".join(words))
    tall, wide = (max(matrix.shape[side] for matrix in shown.values()) for side in (0, 1))
    across = min(len(shown), max(1, round(math.sqrt(len(shown) * tall / wide))))
    down = math.ceil(len(shown) / across)
    size = (max(5.0, across * (CELL * wide + 1.2)), max(3.0, down * (CELL * tall + 1.2) + 0.4))
    figure = Figure(figsize=size, dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(down, across, squeeze=False).flat
    for one in axes[len(shown) :]:
        one.set_visible(False)
    low, high, colours = (-1.0, 1.0, "RdBu_r") if signed else (0.0, None, "Greys")
    for one, (name, matrix) in zip(axes, shown.items(), strict=False):
        image = one.imshow(matrix, cmap=colours, vmin=low, vmax=high, aspect="auto", interpolation="nearest")
        one.set_title(name, fontsize="medium")
        for axis, labels in ((one.yaxis, rows.get(name, ())), (one.xaxis, columns.get(name, ()))):
            axis.set_ticks(range(len(labels[:LABELS])), [escaped(word, missing) for word in labels[:LABELS]])
            for label in axis.get_ticklabels():
                label.set_fontfamily(families)
                label.set_fontsize(8)
        if columns.get(name):
            one.tick_params(axis="x", rotation=90 if max(map(len, columns[name])) > 1 else 0)
        figure.colorbar(image, ax=one, fraction=0.03)
    figure.suptitle(title)
    cut = [f"the first {LABELS} tokens are drawn"] if max(tall, wide) >= LABELS < max(max(m.shape) for m in panels.values()) else []
    left = [f"the first {PANELS} of {len(panels)} pictures are drawn"] if len(panels) > PANELS else []
    odd = [f"no installed font has {''.join(missing)}, which are written as their numbers"] if missing else []
    return figure_to_picture(figure), "; ".join(cut + left + odd) or None


def fonts(text: str) -> tuple[list[str], list[str]]:
    """Names of fonts that together have the characters of `text`, the usual one first; and the characters that none of them has.

    Example:
        >>> fonts("plain")
        (['DejaVu Sans'], [])
    """
    from matplotlib import font_manager
    from matplotlib.ft2font import FT2Font

    usual = "DejaVu Sans"
    wanted = {character for character in text if not character.isspace()}
    families = [usual]
    wanted -= {c for c in wanted if ord(c) in FT2Font(font_manager.findfont(usual)).get_charmap()}
    for entry in sorted(font_manager.fontManager.ttflist, key=lambda entry: (entry.name, entry.fname)) if wanted else ():
        if entry.name in families or "Last Resort" in entry.name:  # which has a box for everything
            continue
        has = FT2Font(entry.fname).get_charmap()
        if found := {c for c in wanted if ord(c) in has}:
            families.append(entry.name)
            wanted -= found
        if not wanted:
            break
    return families, sorted(wanted)


def escaped(word: str, missing: Sequence[str]) -> str:
    """`word` with its spaces and line ends shown, and the characters that are missing as U+ and their number.

    Example:
        >>> escaped("a b\\n", []), escaped("삼 x", ["삼"])
        ('a␣b⏎', 'U+C0BC␣x')
    """
    shown = {" ": "␣", "\n": "⏎", "\t": "⇥", "$": "\\$"}
    return "".join(f"U+{ord(c):04X}" if c in missing else shown.get(c, c) for c in word)
