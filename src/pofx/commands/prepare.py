"""New data for a trained run: prepared as the run's own were."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from pofx.errors import TooFewRows, UserError
from pofx.kinds import Binary, Category, Image, Series, Tokens

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from pofx.data import Column, Data, Split
    from pofx.model import Model
    from pofx.plan import Batch
    from pofx.run import Run


Part = Literal["all", "train", "valid", "test"]
PREPARATION = (
    *("binarize", "size", "channels", "label", "columns", "window", "stride", "stacked"),
    *("source", "target", "tokens", "vocabulary", "length", "shared", "spell"),
)
PERHAPS_DONE = ("binarize", "size", "channels", "label", "stacked")  # new data may be as wanted already: bits, of the right size


def prepared(run: Run, model: Model, spec: str | None, given: dict[str, Any], *, also: tuple[str, ...] = ()) -> Data:
    """The data that `spec` names (the run's own by default), prepared as the run's were except where `given` says otherwise.

    Their x must be of the kind that the model was made for, and so must the fields in `also`, such as a label that is to be given.

    Raises:
        UserError: the data are not of the kinds that the model was made for; both are named
    """
    from pofx.data import load
    from pofx.data.loading import text_lengths
    from pofx.options import options

    wanted = {name: kind for name, kind in model.inputs.items() if name in ("x", *also)}
    record = run.config.get("data")
    if record is None:
        if spec is None:
            raise UserError(f"{run.path} does not say what it was trained on: pass --data SPEC")
        record = {}
    own = spec is None or spec == record.get("spec")
    known = [option.name for option in options(load, load.__doc__)] if own else PREPARATION
    stored = {name: record[name] for name in known if name in record}
    if not own and os.path.isabs(stored.get("target") or ""):
        del stored["target"]  # the file of the targets of others
    spec, tokenizers = record["spec"] if spec is None else spec, run.tokenizers()
    lengths = text_lengths(wanted)
    try:
        data = load(spec, tokenizers=tokenizers, lengths=lengths, **{**stored, **given})
    except TooFewRows:
        data = load(spec, True, tokenizers, lengths, **{**stored, **given})  # whoever only asks needs no splits
    except UserError:
        stored = {name: value for name, value in stored.items() if name not in PERHAPS_DONE}
        with suppress(UserError):
            data = load(spec, tokenizers=tokenizers, lengths=lengths, **{**stored, **given})
            if all(data.fields.get(name) == kind for name, kind in wanted.items()):
                return data
        raise
    for name, kind in wanted.items():
        if name not in data.fields:
            hint = "; name the targets with --target" if name == "source" and isinstance(wanted["x"], Tokens) else ""
            raise UserError(f"{run.path} was made for {name}: {kind}, but {spec} has {', '.join(data.fields)} only{hint}")
        if data.fields[name] != kind:
            found, hint = data.fields[name], ""
            if isinstance(kind, Binary) and isinstance(found, Image):
                hint = "; make it binary with --binarize dynamic or --binarize threshold"
            elif len(kind.shape) == len(found.shape) == 3 and kind.shape[1:] != found.shape[1:]:
                hint = f"; pass --size {kind.shape[-1]}"
            elif isinstance(kind, Tokens) and isinstance(found, Tokens):
                length = f"--length {kind.length}" if kind.ends else f"--window {kind.length}"
                hint = f"; pass {length}" if kind.length != found.length else "; its text was made into other tokens"
            raise UserError(f"{run.path} was made for {name}: {kind}, but {spec} has {name}: {found}{hint}")
    return data


class Rows:
    """Rows of one split or of several, as one split: in the order of their source.

    Args:
        data: a data set
        part: one of its splits, or "all" of them
    """

    def __init__(self, data: Data, part: Part):
        import numpy as np

        if part != "all" and part not in data.splits:
            raise UserError(f"{data.record['spec']} has no {part} split: it has {', '.join(data.splits)}, or pass --split all")
        names = list(data.splits) if part == "all" else [part]
        self.splits: list[Split] = [data.splits[name] for name in names]
        sources = [_rows(split.columns["x"]) for split in self.splits]
        number = np.concatenate([np.full(len(rows), i) for i, rows in enumerate(sources)])
        within = np.concatenate([np.arange(len(rows)) for rows in sources])
        source = np.concatenate(sources)
        one_file = len({id(split.columns["x"].values) for split in self.splits}) == 1
        order = np.lexsort((source,)) if one_file else np.arange(len(source))
        self.number, self.within, self.source = number[order], within[order], source[order]
        self.data, self.parts = data, [names[i] for i in self.number]

    def __len__(self) -> int:
        return len(self.source)

    def about(self) -> dict[str, list[Any]]:
        """What each row is, as columns: its number in the source, its split; its file or time, and its label, where it has them."""
        import torch

        about: dict[str, list[Any]] = {"row": self.source.tolist(), "split": self.parts}
        if all(split.names for split in self.splits):
            called = "time" if isinstance(self.data.fields["x"], Series) else "file"
            about[called] = [self.splits[i].names[row] for i, row in zip(self.number, self.within, strict=True)]
        for name, kind in self.data.fields.items():
            if isinstance(kind, Category):
                columns = [split.columns[name] for split in self.splits]
                numbers = [column.read(torch.arange(len(column))).tolist() for column in columns]
                known = [dict(zip(_rows(column).tolist(), own, strict=True)) for column, own in zip(columns, numbers, strict=True)]
                found = [known[i].get(row) for i, row in zip(self.number, self.source.tolist(), strict=True)]  # None: not labelled
                about[name] = [kind.names[y] if kind.names and y is not None else y for y in found]
        return about

    def read(self, rows: np.ndarray | Sequence[int]) -> Batch:
        """The batch of these rows, as `Split.read` gives it."""
        import numpy as np
        import torch

        rows = np.asarray(rows)
        which, places, pieces = self.number[rows], [], []
        for i in np.unique(which):
            here = np.flatnonzero(which == i)
            places.append(here)
            pieces.append(self.splits[i].read(self.within[rows[here]]))
        back = torch.from_numpy(np.argsort(np.concatenate(places)))
        return {name: padded_together([piece[name] for piece in pieces])[back] for name in pieces[0]}


def padded_together(pieces: list[Tensor]) -> Tensor:
    """Batches of one field as one; those of sequences as wide as the widest."""
    import torch
    from torch.nn.functional import pad

    from pofx.kinds import PAD

    width = max(piece.shape[-1] for piece in pieces) if pieces[0].dim() == 2 else 0
    return torch.cat([pad(piece, (0, width - piece.shape[-1]), value=PAD) if piece.dim() == 2 else piece for piece in pieces])


def _rows(column: Column) -> np.ndarray:
    """The numbers of a column's rows in its source."""
    import numpy as np

    return np.arange(len(column)) if column.rows is None else column.rows


BLOCK = 500  # examples that a model draws or decodes at once
