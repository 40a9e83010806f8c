"""What the verbs that walk through codes share: items, their codes, and pictures of what is decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pofx.capabilities import Decodes, Encodes, require
from pofx.commands.files import ARRAYS, destination, write_arrays, write_picture
from pofx.commands.flags import Known, asking_flags, sort
from pofx.commands.prepare import Part, Rows, prepared
from pofx.errors import UserError
from pofx.kinds import Tokens

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from pofx.kinds import Kind
    from pofx.model import Model


FILES = (".png", *ARRAYS)
KNOWN_WELL = 2000  # items from which the spread of the codes is learnt


def codes_flags(verb: Any) -> Known:
    """All flags of a verb here: its own, and how the data are read."""
    return asking_flags(verb)


class Walk:
    """A run's model with the items that a verb asks about, and where its picture goes."""

    def __init__(
        self, run: str, verb: Any, loading: dict[str, Any], data: str | None, split: Part, out: str | None, name: str, trust: bool
    ):
        from pofx.run import Run

        self.run = Run(run)
        self.model: Model = self.run.model(trust=trust)
        require(self.model, Encodes, Decodes)
        if isinstance(self.model.inputs["x"], Tokens):
            raise UserError(f"{verb.__name__} draws pictures, and {self.model.title()} is of text: pofx interpolate goes between two texts")
        *_, options = sort(verb.__name__, loading, codes_flags(verb)(run, trust))
        self.file = destination(out or self.run.path / "samples" / name, FILES)
        self.data = prepared(self.run, self.model, data, options)
        self.rows = Rows(self.data, split)
        self.kind: Kind = self.data.fields["x"]

    def items(self, rows: list[int]) -> Any:
        if rows[-1] >= len(self.rows):
            raise UserError(f"item {rows[-1]} is asked for, but there are {len(self.rows)}: they count from 0")
        return self.rows.read(rows)["x"]

    def codes(self) -> np.ndarray:
        from pofx.model import evaluating

        with evaluating(self.model):
            return require(self.model, Encodes).encode(self.items(list(range(min(KNOWN_WELL, len(self.rows)))))).flatten(1).cpu().numpy()

    def drawn(self, strips: dict[str, np.ndarray], title: str) -> dict[str, Any]:
        draw(self.file, strips, self.kind, title)
        return {"run": str(self.run.path), "data": self.data.record["spec"], "out": str(self.file)}


def draw(file: Path, strips: dict[str, np.ndarray], kind: Kind, title: str) -> None:
    """Strips of x by label, (S, *shape) each, as rows of a picture, or stacked as an array."""
    import numpy as np

    from pofx.render.pictures import labelled_rows

    if file.suffix.lower() == ".png":
        write_picture(file, labelled_rows({label: (strip, kind) for label, strip in strips.items()}, title))
    else:
        write_arrays(file, {"x": np.stack(list(strips.values()))}, "x")
