"""What x is given: lines of text, or pictures, as a model takes them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pofx.commands.texts as texts
from pofx.capabilities import Translates, can
from pofx.errors import UserError
from pofx.session import Rows, Session

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from pofx.plan import Batch


class Sources:
    """Sources by their numbers, read as a split is.

    Args:
        session: of the model that is given them
        rows: the tokens of each, or pictures (n, ...)
    """

    def __init__(self, session: Session, rows: Sequence[list[int]] | Tensor):
        self.session, self.rows = session, rows

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, rows: np.ndarray) -> Batch:
        from torch import Tensor

        whole = self.rows
        return {"source": whole[rows] if isinstance(whole, Tensor) else self.session.batch([whole[row] for row in rows], "source")}


def tokens(session: Session, lines: Sequence[str], name: str, *, first: int = 1) -> list[list[int] | None]:
    """The tokens of each line as a source; None for a blank one, whatever blank characters it has.

    Args:
        session: of a model that is given a text
        lines: of text
        name: of where they are from, for errors
        first: number of the first line
    """
    said = [line if line.strip() else "" for line in lines]
    return [row if line else None for row, line in zip(texts.tokenized(said, session, "source", name, first=first), said, strict=True)]


def items(session: Session, data: str | None, n: int | None) -> tuple[Tensor, list[str]]:
    """Sources that are no text, as the model takes them, the first `n` of them, and what each is called.

    Pictures of another size or colour are made like those that the model was made for, where they are of the same shape; a note says so.

    Args:
        session: of a model that is given a source
        data: where they are: a picture, a folder of them, or a data set; by default those of the run's own test split
        n: how many; by default all
    """
    import numpy as np

    from pofx.data import load, load_pictures

    kind, field, run = session.model.inputs["source"], "source", session.run
    if data is not None and kind.bits_per_dimension:
        try:
            x, names, notes = load_pictures(data, kind)
        except UserError as error:
            raise UserError(f"{run.path} reads {kind}: {error}") from None
        for note in notes:
            print(f"note: {note}", file=sys.stderr)
        return x[:n], names[:n]
    if data is None:
        rows = session.read_rows(split="test", also=("source",))
    else:
        loaded, field = load(data, True), "x"
        if kind.accepts(loaded.fields["x"]):
            raise UserError(f"{run.path} reads {kind}, but {data} has {loaded.fields['x']}")
        rows = Rows(loaded, "all")
    about = rows.ids()
    named = about.get("file", about["row"])
    count = min(n or len(rows), len(rows))
    return rows.read(np.arange(count))[field], list(map(str, named[:count]))


def sources(session: Session, source: str | None, data: str | None) -> tuple[Tensor, list[str]]:
    """The sources that `--source` or `--data` names, and what each is called. Blank lines are left out.

    Args:
        session: of a model that is given a source
        source: a text; or where pictures are, as in `items`
        data: a file of texts, one a line; or likewise
    """
    kind, run = session.model.inputs["source"], session.run
    if source is None and data is None:
        how = f"the likeliest x for one is what pofx translate {run.path} writes" if can(session.model, Translates) else ""
        said = '"..."' if kind.text else "PICTURE"
        raise UserError(f"{run.path} is a p(x | source): pass the source, as in --source {said}{'; ' if how else ''}{how}")
    if not kind.text:
        if source is not None and data is not None:
            raise UserError("pass --source or --data, not both")
        return items(session, source or data, None)
    lines, name = texts.given_lines(data, source, "--source")
    pairs = [(line, row) for line, row in zip(lines, tokens(session, lines, name), strict=True) if row is not None]
    return session.batch([row for _, row in pairs], "source"), [line for line, _ in pairs]
