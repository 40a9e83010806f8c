"""What a user can ask for: one file a verb, whose function's keyword-only arguments are its flags.

A verb gives a `pofx.session.Result`; called, it writes the files that belong to it, and returns a report that JSON can hold. The command
line and whatever else speaks to users call the same functions. A verb imports torch only when it runs.

To add one, add its file: a function under `pofx.commands.verb.verb`. Every file here is looked at.

Example:
    >>> from pofx import commands
    >>> [row["density"] for row in commands.models() if row["name"] == "vae"]
    ['bound']
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from pofx.commands.verb import VERBS, Verb

__all__ = ["VERBS", "Verb"]

ORDER = (  # in which help shows them; others come after these
    *("models", "data", "train", "resume", "sample", "score", "embed", "reconstruct", "translate", "complete", "forecast", "evaluate"),
    *("compare", "traverse", "interpolate", "attribute", "sweep", "arithmetic", "inspect", "anneal"),
)


def find() -> None:
    """Import every file here, so that what is a verb in it is one."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    found = sorted(VERBS.items(), key=lambda verb: ORDER.index(verb[0]) if verb[0] in ORDER else len(ORDER))
    VERBS.clear()
    VERBS.update(found)
    globals().update(found)


find()


def __getattr__(name: str) -> Any:
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
