"""Learning: `train` begins a run, `resume` goes on with it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pofx.errors import Done, UserError, nearest
from pofx.kinds import Category, Positive, Series, Size, Tokens
from pofx.verbs.flags import Flags, data_flags, sort, together, training_flags

if TYPE_CHECKING:
    from pofx.run import Run

PROBLEMS = 5  # of the data that are shown before training


def train_flags(model: str | None = None) -> list[Flags]:
    """All flags of `pofx train MODEL`: its own, training, data, and, with a model named, its hyper-parameters."""
    from pofx.models import find

    groups = [Flags.of("flags", train), training_flags(), data_flags()]
    if model is not None:
        cls = find(model)
        groups.append(Flags(f"the model {cls.title()}", {p.name: p for p in cls.hyper_parameters()}, "model"))
    return together(*groups)


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
    _, training_options, loading, hyper = sort("train", options, train_flags(model))

    from pofx import train as engine
    from pofx.data import load
    from pofx.game import solved
    from pofx.model import bind
    from pofx.models import find
    from pofx.run import seeded
    from pofx.verbs.progress import TrainingProgress

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
        built = cls(**bind(cls, fields), **hyper)
    if loaded.tokenizers and "window" in loading and "stride" not in loading and solved(built.stages()):
        loaded = load(data, **loading, stride=loading["window"])  # what is counted is to be counted once
    if os.environ.get("RANK", "0") == "0":
        for problem in loaded.problems[:PROBLEMS]:
            print(f"note: {loaded.record['spec']}: {problem}", file=sys.stderr)
        if len(loaded.problems) > PROBLEMS:
            print(f"note: and {len(loaded.problems) - PROBLEMS} more: pofx data shows them all", file=sys.stderr)
    with _replicas():
        with TrainingProgress() as progress:
            run = engine.train(built, loaded, training, folder, report=progress)
        return _finished(run, loaded)


def resume(
    run: str, *, steps: Size | None = None, lr: Positive | None = None, clip: Positive | None = None, trust: bool = False
) -> dict[str, Any]:
    """Go on with a run that was stopped, exactly where it was.

    Args:
        run: a run folder
        steps: train to this many steps in all, instead of the number first asked for
        lr: learning rate from here on, after a run that diverged
        clip: largest norm of a player's whole gradient from here on, likewise
        trust: execute the model file that the run carries
    """
    from pofx import train as engine
    from pofx.data import reload
    from pofx.run import Run
    from pofx.verbs.progress import TrainingProgress

    with _replicas():
        with TrainingProgress() as progress, _old_scores_aside(Path(run)):
            try:
                done = engine.resume(run, steps=steps, lr=lr, clip=clip, trust=trust, report=progress)
            except Done:
                if (Path(run) / "README.md").is_file():
                    raise
                done = Run(run)  # stopped between its last step and its pictures
        return _finished(done, reload(done.config["data"], done.tokenizers()))


@contextmanager
def _old_scores_aside(run: Path) -> Iterator[None]:
    """Scores belong to the weights they were measured on: when those change, scores.json becomes scores-before.json."""
    weights, scores = run / "model.safetensors", run / "scores.json"
    before = weights.read_bytes() if scores.exists() else b""
    try:
        yield
    finally:
        if os.environ.get("RANK", "0") == "0" and scores.exists() and weights.read_bytes() != before:
            scores.replace(run / "scores-before.json")


@contextmanager
def _replicas() -> Iterator[None]:
    """Leave the process group that training joined, if it joined one, when every replica is done: the first draws pictures meanwhile."""
    from torch import distributed

    joined_before = distributed.is_initialized()
    try:
        yield
        if distributed.is_initialized() and not joined_before:
            distributed.barrier()
    finally:
        if distributed.is_initialized() and not joined_before:
            distributed.destroy_process_group()  # a process that ends within its group is aborted


def _finished(run: Run, data: Any) -> dict[str, Any]:
    """Pictures and the model card of a trained run, and the report of what stands where."""
    from pofx.card import write_card
    from pofx.verbs.illustrate import illustrate

    last: dict[str, dict[str, Any]] = {"train": {}, "valid": {}}
    for row in run.metrics():
        last.setdefault(row.get("split", "train"), {}).update((name, row[name]) for name in row if "." in name or name == "step")
    model = run.config["model"]
    blank = run.blank(trust=True)
    first, *others = blank.inputs
    told = [name for name in others if isinstance(blank.inputs[name], Category)]
    told += [name for name in others if name == "source"]
    learned = f"p({first} | {', '.join(told)})" if told and "samples" in blank.capabilities() else None
    report = {
        "run": str(run.path),
        "model": model["name"],
        "parameters": blank.parameter_count,
        "data": run.config["data"]["spec"],
        "learned": learned,
        **last,
        "warnings": [row["warning"] for row in run.metrics() if "warning" in row] or None,
    }
    if os.environ.get("RANK", "0") == "0":  # with torchrun, one replica writes for all
        report["pictures"] = [str(file) for file in illustrate(run, data)]
        report["card"] = str(write_card(run))
        can, trust = blank.capabilities(), " --trust" if model["file"] else ""
        verbs = {
            **({"translate": "translates"} if "source" in blank.inputs else {"sample": "samples"}),
            "score": "scores",
            "embed": "encodes",
            "reconstruct": "decodes",
            "sweep": "generates",
            "forecast" if isinstance(blank.inputs["x"], Series) else "complete": "completes",
            "evaluate": None,
        }
        source = ' --text "..."' if isinstance(blank.inputs.get("source"), Tokens) else ""
        further = {"forecast": " --horizon 12", "translate": source}
        if isinstance(blank.inputs["x"], Tokens):  # a way between texts, not pairs of pictures
            verbs |= {"sweep": "", "interpolate": "decodes"}
            further["interpolate"] = ' --between "..." "..."'
            if hasattr(blank, "attention") or hasattr(blank, "gates"):
                verbs["inspect"] = None
                further["inspect"] = source.replace("text", "source") if "source" in blank.inputs else ' --text "..."'
        report["next"] = [
            f"pofx {verb} {run.path}{further.get(verb, '')}{trust}" for verb, needed in verbs.items() if needed is None or needed in can
        ]
    return report
