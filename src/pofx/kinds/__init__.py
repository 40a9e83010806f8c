"""Kinds of data, one file a kind.

A field of a data set is of a kind; a model's constructor names the kinds it needs; what a model gives back is of a kind too.
Matching is by kind, so a mismatch is found before the first step. Nothing here needs torch. Every file here is looked at: to add a kind is
to add one.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from pofx import renamed
from pofx.kinds.binary import Binary
from pofx.kinds.category import Category
from pofx.kinds.image import Image
from pofx.kinds.kind import Kind, Refusal, kinds_in
from pofx.kinds.record import Record
from pofx.kinds.series import Series
from pofx.kinds.tokens import EOS, PAD, Tokens
from pofx.kinds.vector import Vector

__all__ = ["EOS", "PAD", "Binary", "Category", "Image", "Kind", "Record", "Refusal", "Series", "Tokens", "Vector", "kinds_in"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


def __getattr__(name: str) -> Any:
    if name in Kind.known and Kind.known[name].__module__.startswith(f"{__name__}."):
        return Kind.known[name]
    return renamed.stayed(__name__)(name)  # names that are elsewhere now
