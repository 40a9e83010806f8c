"""What the verbs that walk through codes share: items, their codes, and what is decoded, row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pofx.capabilities import Decodes, Encodes, require
from pofx.commands.files import destination, strip_forms
from pofx.commands.flags import split_options
from pofx.errors import UserError
from pofx.session import Arrays, Part, Result, Session

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from pofx.commands.verb import Verb

KNOWN_WELL = 2000  # items from which the spread of the codes is learnt


class Walk:
    """A run's model with the items that a verb asks about, and where its picture goes."""

    def __init__(
        self,
        run: str | Session,
        verb: Verb[Any],
        loading: dict[str, Any],
        data: str | None,
        split: Part,
        out: str | None,
        name: str,
        trust: bool,
    ):
        self.session = Session.load(run, trust=trust)
        self.model, asked = self.session.model, verb.function.__name__
        require(self.model, Encodes, Decodes)
        if self.session.kind.printed:
            raise UserError(f"{asked} draws pictures, and {self.model.title()} is of text: pofx interpolate goes between two texts")
        *_, options = split_options(asked, loading, verb.known(run, trust))
        self.file = destination(out or self.session.run.path / "samples" / name, strip_forms(self.session.kind))
        self.rows = self.session.read_rows(data, options, split=split)

    def items(self, rows: list[int]) -> Any:
        if rows[-1] >= len(self.rows):
            raise UserError(f"item {rows[-1]} is asked for, but there are {len(self.rows)}: they count from 0")
        return self.rows.read(rows)["x"]

    def codes(self) -> np.ndarray:
        from pofx.model import evaluating

        with evaluating(self.model):
            return require(self.model, Encodes).encode(self.items(list(range(min(KNOWN_WELL, len(self.rows)))))).flatten(1).cpu().numpy()

    def result(self, strips: dict[str, np.ndarray], title: str, **more: Any) -> Result:
        """Strips of x by label, (S, *shape) each."""
        report = {"run": str(self.session.run.path), "data": self.rows.spec, "out": str(self.file)}
        return Result(report | more, {"x": strips}, artefacts={self.file: rows_of(self.file, self.session, strips, title)})


def rows_of(file: Path, session: Session, strips: dict[str, np.ndarray], title: str) -> Any:
    """Strips of x by label, (S, *shape) each, as rows of a picture, or stacked as an array."""
    import numpy as np

    from pofx.render.pictures import labelled_rows

    if file.suffix.lower() == ".png":
        return labelled_rows({label: (strip, session.kind) for label, strip in strips.items()}, title)
    return Arrays({"x": np.stack(list(strips.values()))}, "x")
