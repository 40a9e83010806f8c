"""A session: a run's model, loaded once, with what reads data as the model was made for them. What verbs find out is a `Result`.

Nothing here writes a file or prints: whoever speaks to the user does. Torch is imported when there is something to load: verbs, and so
their help, need none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pofx.errors import TooFewRows, UserError

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image as Picture
    from torch import Tensor

    from pofx.data import Column, Data, Split
    from pofx.data.tokenizer import Tokenizer
    from pofx.kinds import Kind, Refusal
    from pofx.model import Model
    from pofx.plan import Batch
    from pofx.run import Run

Part = Literal["all", "train", "valid", "test"]
BLOCK = 500  # examples that a model draws or decodes at once
PREPARATION = (
    *("binarize", "size", "channels", "label", "columns", "window", "stride", "stacked"),
    *("source", "target", "tokens", "vocabulary", "length", "shared", "spell"),
)
PERHAPS_DONE = ("binarize", "size", "channels", "label", "stacked")  # new data may be as wanted already: bits, of the right size


# What a verb finds out


@dataclass(frozen=True)
class Arrays:
    """Arrays by name: a .npz; or the one called `main`, a .npy."""

    values: dict[str, Any]
    main: str


@dataclass(frozen=True)
class Table:
    """Columns of equal length by name: a .csv or .parquet."""

    columns: dict[str, Any]


@dataclass(frozen=True)
class Film:
    """Pictures one after another, and for how many milliseconds each is shown: a .gif."""

    frames: list[Picture]
    durations: list[int]


@dataclass(frozen=True)
class TextFile:
    """Texts, one under another: a .txt; or all that is known of each: a .jsonl."""

    values: Sequence[str]
    about: Sequence[dict[str, Any]]


@dataclass
class Result:
    """What a verb found out.

    Args:
        report: what is said of it, as JSON can hold it: how it was made, numbers, where files are
        values: what was made, by name: arrays whose first axis is examples, or texts
        ids: what each example is, as columns: its row in the source, its split, its file, its label
        card: a run whose card is to be written anew when its files are
        artefacts: what is to be written where: a picture, `Arrays`, a `Table`, a `Film`, a `TextFile`, or bytes
    """

    report: dict[str, Any]
    values: dict[str, Any] = field(default_factory=dict)
    ids: dict[str, list[Any]] = field(default_factory=dict)
    artefacts: dict[Path, Any] = field(default_factory=dict)
    card: Run | None = None


class Session:
    """A run's model in evaluation mode, loaded once. What can be asked of the model can be asked of it, too.

    Args:
        run: the run
        model: its model
        data: the run's own data, where they are there already
        trust: whether the model file that the run carries may be executed, when it is loaded again

    Example:
        >>> import tempfile, torch
        >>> from pofx.kinds import Binary
        >>> from pofx.models.autoencoders.vae import VAE
        >>> from pofx.run import save
        >>> session = Session.load(save(VAE(Binary(4), latent=2, hidden=(8,)), tempfile.mkdtemp() + "/vae"))
        >>> session.kind, session.sample(3).shape
        (Binary(dims=(4,)), torch.Size([3, 4]))
    """

    def __init__(self, run: Run, model: Model, data: Data | None = None, *, trust: bool = False):
        self.run, self.model, self.data, self.trust = run, model, data, trust
        self._codecs: dict[str, Tokenizer] = {}  # by field, as they were read

    @classmethod
    def load(cls, run: str | Path | Session, *, trust: bool = False) -> Session:
        """The session of a run folder; one that is there already as it is.

        Raises:
            UserError: the folder is not a run, or is damaged; it carries a model file that is not trusted
        """
        from pofx.run import Run

        if isinstance(run, Session):
            return run
        found = Run(run)
        return cls(found, found.model(trust=trust), trust=trust)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "model":  # while it is copied, or before there is one
            raise AttributeError(name)
        return getattr(self.model, name)

    @property
    def __wrapped__(self) -> Model:
        """Whom `pofx.capabilities` asks."""
        return self.model

    @property
    def steps_done(self) -> int:
        """How many steps the run has been trained; 0 where it was saved without a training."""
        return max((row["step"] for row in self.run.metrics()), default=0)

    @property
    def steps_total(self) -> int:
        """How many steps it is to be trained."""
        from pofx.plan import solved
        from pofx.train import Training

        config = self.run.config
        if "training" not in config:
            return 0
        return Training(**config["training"]).total(config["data"]["counts"]["train"], closed=solved(self.model.stages()))

    def train_on(self, steps: int, *, report: Callable[[dict[str, Any]], None] | None = None) -> None:
        """Train the run on by so many steps, exactly as if it had never stopped, and take up the weights that it keeps.

        Args:
            steps: beyond those that are done
            report: called with every row of metrics, as in `pofx.train.train`

        Raises:
            UserError: there is nothing to go on from, or the data are not what they were
        """
        from pofx.train import resume

        self.run = resume(self.run.path, steps=self.steps_done + steps, trust=self.trust, report=report)
        self.model = self.run.model(trust=self.trust)

    def save(self, path: str | Path) -> Path:
        """Write the model, with what makes and reads its data, into the new folder `path`: a run without its training.

        Raises:
            UserError: the folder is there already
        """
        from pofx.run import save

        return save(self.model, path, data=self.run.config.get("data"), tokenizers=self.run.tokenizers())

    @property
    def kind(self) -> Kind:
        """The kind of x."""
        return self.model.inputs["x"]

    def codec(self, name: str = "x") -> Tokenizer | None:
        """What makes a field of text and turns it back into text; None where the field is none."""
        if not self.model.inputs[name].text:
            return None
        if name not in self._codecs:
            self._codecs[name] = self.run.tokenizer(name)
        return self._codecs[name]

    def texts(self, x: np.ndarray | Tensor, name: str = "x") -> list[str]:
        """Examples (N, ...) of a field that is read, as texts."""
        import numpy as np

        return list(self.model.inputs[name].draw(np.asarray(x), self.codec(name)).values)

    def numbers(self, blocks: Sequence[Tensor], name: str = "x") -> np.ndarray:
        """Batches of a field, as the model gave them, as one array of the numbers that its kind has."""
        import torch

        kind = self.model.inputs[name]
        return kind.collate(list(blocks)).to(getattr(torch, kind.dtype)).cpu().numpy()

    def batch(self, rows: Sequence[Sequence[int]], name: str = "x") -> Tensor:
        """Tokens of texts of a field as one batch."""
        import torch

        return self.model.inputs[name].collate([torch.tensor([list(row)], dtype=torch.int64) for row in rows])

    def read_rows(
        self, spec: str | None = None, loading: dict[str, Any] | None = None, *, split: Part = "all", also: tuple[str, ...] = ()
    ) -> Rows:
        """Rows of data, prepared as the run's own were. Arguments as in `prepared`, and which split."""
        if self.data is not None and spec is None and not loading:
            return Rows(self.data, split)
        return Rows(prepared(self.run, self.model, spec, loading or {}, also=also), split)


# Data that a trained model is asked about


def prepared(run: Run, model: Model, spec: str | None, given: dict[str, Any], *, also: tuple[str, ...] = ()) -> Data:
    """The data that `spec` names (the run's own by default), prepared as the run's were except where `given` says otherwise.

    Their x must be of the kind that the model was made for, and so must the fields in `also`, such as a label that is to be given.

    Raises:
        UserError: the data are not of the kinds that the model was made for; both are named
    """
    from pofx.data import load
    from pofx.data.loading import OPTIONS, text_lengths

    wanted = {name: kind for name, kind in model.inputs.items() if name in ("x", *also)}
    record = run.config.get("data")
    if record is None:
        if spec is None:
            raise UserError(f"{run.path} does not say what it was trained on: pass --data SPEC")
        record = {}
    own = spec is None or spec == record.get("spec")
    known = [option.name for option in OPTIONS] if own else PREPARATION
    stored = {name: record[name] for name in known if name in record}
    if not own and os.path.isabs(stored.get("target") or ""):
        del stored["target"]  # the file of the targets of others
    spec, tokenizers = record["spec"] if spec is None else spec, run.tokenizers()
    lengths = text_lengths(model.inputs)  # of a source, too, that nobody asked for: it is read beside x
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
            hint = "; name the targets with --target" if name == "source" and wanted["x"].text else ""
            raise UserError(f"{run.path} was made for {name}: {kind}, but {spec} has {', '.join(data.fields)} only{hint}")
        if (found := data.fields[name]) != kind:
            hint = "" if found.text and not kind.text else refusal_hint(kind.accepts(found))  # whoever has a run has chosen its model
            raise UserError(f"{run.path} was made for {name}: {kind}, but {spec} has {name}: {found}{hint}")
    return data


def refusal_hint(refusals: Sequence[Refusal]) -> str:
    """What may be done about refusals, as the end of a line.

    Example:
        >>> from pofx.kinds import Binary, Image
        >>> refusal_hint(Binary.takes(Image(1, 8, 8)))
        '; make it binary with --binarize dynamic or --binarize threshold'
    """
    said = []
    for refusal in refusals:
        flag = f"--{refusal.option.replace('_', '-')}"
        ways = [f"{flag} {value}" for value in refusal.values] or [flag]
        said.append(f"{refusal.what} {' or '.join(ways)}" if refusal.option else refusal.what)
    return "".join(f"; {words}" for words in said if words)


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
        of_file = [rows if split.source is None else split.source for split, rows in zip(self.splits, sources, strict=True)]
        self.of_file = np.concatenate(of_file)[order]
        self.data, self.parts = data, [names[i] for i in self.number]

    def __len__(self) -> int:
        return len(self.source)

    @property
    def spec(self) -> str:
        """What was read."""
        return str(self.data.record["spec"])

    def ids(self) -> dict[str, list[Any]]:
        """What each row is, as columns: its number in the person's file, its split; its file or time, and its label, where it has them."""
        import torch

        about: dict[str, list[Any]] = {"row": self.of_file.tolist(), "split": self.parts}
        if all(split.names for split in self.splits):
            called = "time" if self.data.fields["x"].in_time else "file"
            about[called] = [self.splits[i].names[row] for i, row in zip(self.number, self.within, strict=True)]
        for name, kind in self.data.fields.items():
            if kind.classes:
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
        return {name: self.data.fields[name].collate([piece[name] for piece in pieces])[back] for name in pieces[0]}


def _rows(column: Column) -> np.ndarray:
    """The numbers of a column's rows in its source."""
    import numpy as np

    return np.arange(len(column)) if column.rows is None else column.rows
