"""pofx: learn a distribution from your own data, then sample, score, embed and reconstruct with it.

Nothing heavy is imported before it is asked for: `import pofx` takes no torch.

Example:
    >>> import pofx
    >>> pofx.models.find("pca").title()
    'pca'
"""

from __future__ import annotations

import importlib
from typing import Any

from pofx import renamed

__version__ = "0.1.0"

_HOMES = {"load": "pofx.run", "Run": "pofx.run", "Training": "pofx.train", "Model": "pofx.model", "UserError": "pofx.errors"}
_ROOMS = ("data", "evaluate", "kinds", "models", "render", "testing", "train", "commands")
__all__ = ["Model", "Run", "Training", "UserError", "__version__", "load", *_ROOMS]

renamed.install()


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _ROOMS:
        return importlib.import_module(f"pofx.{name}")
    if f"pofx.{name}" in renamed.MODULES:
        return importlib.import_module(f"pofx.{name}")
    raise AttributeError(f"module 'pofx' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
