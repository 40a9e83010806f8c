"""What x is given: lines of text, or pictures, as a model takes them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pofx.commands.texts as texts
from pofx.capabilities import Translates, can
from pofx.errors import UserError
from pofx.kinds import Image, Tokens

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from pofx.model import Model
    from pofx.plan import Batch
    from pofx.run import Run


class Sources:
    """Sources by their numbers, read as a split is.

    Args:
        rows: the tokens of each, or pictures (n, ...)
    """

    def __init__(self, rows: Sequence[list[int]] | Tensor):
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, rows: np.ndarray) -> Batch:
        from torch import Tensor

        return {"source": self.rows[rows] if isinstance(self.rows, Tensor) else texts.batch([self.rows[row] for row in rows])}


def tokens(run: Run, model: Model, lines: Sequence[str], name: str, *, first: int = 1) -> list[list[int] | None]:
    """The tokens of each line as a source; None for a blank one, whatever blank characters it has.

    Args:
        run: of the model
        model: that is given a text
        lines: of text
        name: of where they are from, for errors
        first: number of the first line
    """
    kind = model.inputs["source"]
    assert isinstance(kind, Tokens)
    said = [line if line.strip() else "" for line in lines]
    encoded = texts.encoded(said, run.tokenizer("source"), kind, name, of=str(run.path), first=first)
    return [row if line else None for row, line in zip(encoded, said, strict=True)]


def pictures(run: Run, model: Model, data: str | None, n: int | None) -> tuple[Tensor, list[str]]:
    """Sources that are no text, as the model takes them, the first `n` of them, and what each is called.

    Pictures of another size or colour are made like those that the model was made for, where they are of the same shape; a note says so.

    Args:
        run: of the model
        model: that is given a source
        data: where they are: a picture, a folder of them, or a data set; by default those of the run's own test split
        n: how many; by default all
    """
    import numpy as np

    from pofx.commands.prepare import Rows, prepared
    from pofx.data import load, load_pictures

    kind, field = model.inputs["source"], "source"
    if data is not None and isinstance(kind, Image):
        try:
            x, names, notes = load_pictures(data, kind)
        except UserError as error:
            raise UserError(f"{run.path} reads {kind}: {error}") from None
        for note in notes:
            print(f"note: {note}", file=sys.stderr)
        return x[:n], names[:n]
    if data is None:
        rows = Rows(prepared(run, model, None, {}, also=("source",)), "test")
    else:
        loaded, field = load(data, True), "x"
        if type(loaded.fields["x"]) is not type(kind) or loaded.fields["x"].shape != kind.shape:
            raise UserError(f"{run.path} reads {kind}, but {data} has {loaded.fields['x']}")
        rows = Rows(loaded, "all")
    about = rows.about()
    named = about.get("file", about["row"])
    count = min(n or len(rows), len(rows))
    return rows.read(np.arange(count))[field], list(map(str, named[:count]))


def given(run: Run, model: Model, source: str | None, data: str | None) -> tuple[Tensor, list[str]]:
    """The sources that `--source` or `--data` names, and what each is called. Blank lines are left out.

    Args:
        run: of the model
        model: that is given a source
        source: a text; or where pictures are, as in `pictures`
        data: a file of texts, one a line; or likewise
    """
    kind = model.inputs["source"]
    if source is None and data is None:
        how = f"the likeliest x for one is what pofx translate {run.path} writes" if can(model, Translates) else ""
        said = '"..."' if isinstance(kind, Tokens) else "PICTURE"
        raise UserError(f"{run.path} is a p(x | source): pass the source, as in --source {said}{'; ' if how else ''}{how}")
    if not isinstance(kind, Tokens):
        if source is not None and data is not None:
            raise UserError("pass --source or --data, not both")
        return pictures(run, model, source or data, None)
    lines, name = texts.given_lines(data, source, "--source")
    pairs = [(line, row) for line, row in zip(lines, tokens(run, model, lines, name), strict=True) if row is not None]
    return texts.batch([row for _, row in pairs]), [line for line, _ in pairs]
