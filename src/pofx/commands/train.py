"""`pofx train`: begin a run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pofx.commands.finish import finished, replicas_done
from pofx.commands.flags import Flags, data_flags, split_options, together, training_flags
from pofx.commands.hints import bound
from pofx.commands.verb import verb
from pofx.environment import first_replica
from pofx.errors import UserError, nearest

PROBLEMS = 5  # of the data that are shown before training


def train_flags(model: str | None = None) -> list[Flags]:
    """All flags of `pofx train MODEL`: its own, training, data, and, with a model named, its hyper-parameters."""
    from pofx.models import find

    groups = [Flags.of("flags", train), training_flags(), data_flags()]
    if model is not None:
        cls = find(model)
        groups.append(Flags(f"the model {cls.title()}", {p.name: p for p in cls.hyper_parameters()}, "model"))
    return together(*groups)


@verb(flags=train_flags)
def train(
    model: str, *, data: str = "digits", out: str | None = None, without: tuple[str, ...] | None = None, **options: Any
) -> dict[str, Any]:
    """Train a model on data, in a new run folder.

    Ctrl-C saves the state and stops; `pofx resume RUN` goes on exactly where it was. For several processes:
    torchrun --nproc-per-node 2 -m pofx train MODEL ...

    Args:
        model: a name from `pofx models`, or path/to/file.py:Class
        data: a name (digits, mnist, ...) or a path to a folder of pictures, idx files, .npy, .npz, .csv, .parquet, text, .tsv, .jsonl
        out: the run folder to make; by default runs/MODEL-DATA
        without: fields of the data that the model may take and is not to: --without label learns p(x) where p(x | label) is possible
        options: training options, data options and the model's hyper-parameters
    """
    _, training_options, loading, hyper = split_options("train", options, train_flags(model))

    from pofx import train as engine
    from pofx.commands.progress import TrainingProgress
    from pofx.data import load
    from pofx.models import find
    from pofx.plan import solved
    from pofx.run import seeded

    cls = find(model)
    training = engine.Training(**training_options)
    folder = Path(out or f"runs/{cls.title().lower()}-{Path(data).stem}")
    loaded = load(data, **loading)
    fields = {name: kind for name, kind in loaded.fields.items() if name not in (without or ())}
    for name in without or ():
        optional = [field for field, (_, required) in cls.needs().items() if not required]
        if name not in optional:
            raise UserError(f"--without {name}: {cls.title()} takes no field {name!r} that it can do without: {nearest(name, optional)}")
    with seeded(training.seed):
        built = cls(**bound(cls, fields), **hyper)
    if loaded.tokenizers and "window" in loading and "stride" not in loading and solved(built.stages()):
        loaded = load(data, **loading, stride=loading["window"])  # what is counted is to be counted once
    if first_replica():
        for problem in loaded.problems[:PROBLEMS]:
            print(f"note: {loaded.record['spec']}: {problem}", file=sys.stderr)
        if len(loaded.problems) > PROBLEMS:
            print(f"note: and {len(loaded.problems) - PROBLEMS} more: pofx data shows them all", file=sys.stderr)
    with replicas_done():
        with TrainingProgress() as progress:
            run = engine.train(built, loaded, training, folder, report=progress)
        return finished(run, loaded)
