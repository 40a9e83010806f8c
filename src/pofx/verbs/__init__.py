"""What a user can ask for: one plain function a verb, each returning a dict that JSON can hold.

The command line reads its flags off these signatures, and whatever else speaks to users calls the same functions with the same
arguments. A verb imports torch only when it runs.

Example:
    >>> from pofx import verbs
    >>> [row["density"] for row in verbs.models() if row["name"] == "vae"]
    ['bound']
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pofx.verbs.anneal import anneal, anneal_flags
from pofx.verbs.ask import embed, embed_flags, reconstruct, reconstruct_flags, sample, sample_flags, score, score_flags
from pofx.verbs.codes import attribute, codes_flags, interpolate, traverse
from pofx.verbs.completing import complete, complete_flags
from pofx.verbs.flags import Flags, Known
from pofx.verbs.forecast import forecast, forecast_flags
from pofx.verbs.inspecting import inspect
from pofx.verbs.judge import compare, evaluate, evaluate_flags
from pofx.verbs.learn import resume, train, train_flags
from pofx.verbs.look import data, look_flags, models
from pofx.verbs.sweep import arithmetic, sweep
from pofx.verbs.translating import translate, translate_flags

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
