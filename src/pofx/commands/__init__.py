"""What a user can ask for: one plain function a verb, each returning a dict that JSON can hold.

The command line reads its flags off these signatures, and whatever else speaks to users calls the same functions with the same
arguments. A verb imports torch only when it runs.

Example:
    >>> from pofx import commands
    >>> [row["density"] for row in commands.models() if row["name"] == "vae"]
    ['bound']
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pofx.commands.anneal import anneal, anneal_flags
from pofx.commands.arithmetic import arithmetic
from pofx.commands.attribute import attribute
from pofx.commands.codes import codes_flags
from pofx.commands.compare import compare
from pofx.commands.complete import complete, complete_flags
from pofx.commands.data import data, look_flags
from pofx.commands.embed import embed, embed_flags
from pofx.commands.evaluate import evaluate, evaluate_flags
from pofx.commands.flags import Flags, Known
from pofx.commands.forecast import forecast, forecast_flags
from pofx.commands.inspect import inspect
from pofx.commands.interpolate import interpolate
from pofx.commands.models import models
from pofx.commands.reconstruct import reconstruct, reconstruct_flags
from pofx.commands.resume import resume
from pofx.commands.sample import sample, sample_flags
from pofx.commands.score import score, score_flags
from pofx.commands.sweep import sweep
from pofx.commands.train import train, train_flags
from pofx.commands.translate import translate, translate_flags
from pofx.commands.traverse import traverse

__all__ = [
    "VERBS",
    "Verb",
    "anneal",
    "arithmetic",
    "attribute",
    "compare",
    "complete",
    "data",
    "embed",
    "evaluate",
    "forecast",
    "inspect",
    "interpolate",
    "models",
    "reconstruct",
    "resume",
    "sample",
    "score",
    "sweep",
    "train",
    "translate",
    "traverse",
]


@dataclass(frozen=True)
class Verb:
    """A function, all its flags where some of them depend on its positional arguments, and what of its report is for --json only.

    `alone` is the texts in its report that are printed and nothing else, unless they went into a file.
    """

    function: Callable[..., dict[str, Any] | list[dict[str, Any]]]
    flags: Known | None = None
    long: tuple[str, ...] = ()
    alone: str = ""

    def own(self) -> Flags:
        """The flags that are known before anything is read."""
        return Flags.of("flags", self.function)


VERBS = {
    "models": Verb(models, long=("required", "density")),
    "data": Verb(data, look_flags, long=("splits", "record")),
    "train": Verb(train, train_flags),
    "resume": Verb(resume),
    "sample": Verb(sample, sample_flags, long=("texts", "sources"), alone="texts"),
    "score": Verb(score, score_flags, long=("rows",)),
    "embed": Verb(embed, embed_flags),
    "reconstruct": Verb(reconstruct, reconstruct_flags, long=("texts",), alone="texts"),
    "translate": Verb(translate, translate_flags, long=("translations", "sources"), alone="translations"),
    "complete": Verb(complete, complete_flags),
    "forecast": Verb(forecast, forecast_flags, long=("forecast",)),
    "evaluate": Verb(evaluate, evaluate_flags, long=("protocol",)),
    "compare": Verb(compare, long=("scores",)),
    "traverse": Verb(traverse, codes_flags(traverse)),
    "interpolate": Verb(interpolate, codes_flags(interpolate), long=("texts", "ways"), alone="texts"),
    "attribute": Verb(attribute, codes_flags(attribute)),
    "sweep": Verb(sweep),
    "arithmetic": Verb(arithmetic),
    "inspect": Verb(inspect),
    "anneal": Verb(anneal, anneal_flags, long=("protocol",)),
}
