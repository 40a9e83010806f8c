"""The one error that is the user's to fix: a single line that says what to write instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """Something the user must change. The command line prints it as one line and exits with status 2."""


class Lacks(UserError):
    """A model was asked for a capability that it has not got."""


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint at the end of an error: the known words closest to `word`, or all of them when they are few.

    Example:
        >>> nearest("vea", ["vae", "pca"])
        'did you mean vae?'
    """
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=3, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(close)}?"
    shown = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
    return f"known: {shown}" if known else "none is known"


class TooFewRows(UserError):
    """Data cannot be cut into splits: there are too few rows."""


class Uneven(UserError):
    """Pictures are of several sizes, or some are grey and some are not."""


class Done(UserError):
    """A run that is to be resumed has nothing left to train."""


class Diverged(RuntimeError):
    """Training met a number that is not finite and stopped. The last good state is kept."""


class Interrupted(KeyboardInterrupt):
    """Training was asked to stop, saved its state, and can be resumed."""
