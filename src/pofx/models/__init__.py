"""The zoo: one file a system, grouped as the field groups them. A file's name is its model's name, so finding one needs no registry."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pofx import renamed
from pofx.errors import UserError, nearest

if TYPE_CHECKING:
    from pofx.model import Model

_HERE = Path(__file__).parent
ARXIV = r"\d{4}\.\d{4,5}|[a-z-]+/\d{7}"  # new and old style


def files() -> dict[str, Path]:
    """Every model's name and file, in order of family and name. Imports nothing."""
    return {path.stem: path for path in sorted(_HERE.glob("*/*.py")) if not path.stem.startswith("_")}


def find(name: str) -> type[Model]:
    """The model class for a name from `pofx models`, or for `path/to/file.py:Class`.

    Example:
        >>> find("vae").__name__
        'VAE'
    """
    if ".py" in name:
        return _from_file(name)
    known = files()
    if name in renamed.MODELS:
        renamed.notice(name, name := renamed.model(name))
    if name not in known:
        raise UserError(f"no model is called {name!r}: {nearest(name, known)} (a model of your own is path/to/file.py:Class)")
    path = known[name]
    return _only_model(importlib.import_module(f"pofx.models.{path.parent.name}.{path.stem}"), str(path))


def _from_file(name: str) -> type[Model]:
    from pofx.model import Model

    file, _, wanted = name.partition(":")
    path = Path(file)
    if not path.is_file():
        raise UserError(f"no file {file}: a model of your own is path/to/file.py:Class")
    # A run's copy of a file has the same classes, and so the same kinds, as long as the file that they are from is there as it was
    content = hashlib.sha256(path.read_bytes()).hexdigest()
    module_name = f"pofx_file_{content[:16]}"
    before = Path(sys.modules[module_name].__file__ or "") if module_name in sys.modules else None
    if before is None or not before.is_file() or hashlib.sha256(before.read_bytes()).hexdigest() != content:
        spec = importlib.util.spec_from_file_location(module_name, path)
        assert spec is not None  # a .py file has one, and a loader
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module  # annotations are looked up there
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            del sys.modules[module_name]
            raise UserError(f"{file} does not run: {type(error).__name__}: {error}") from error
    module = sys.modules[module_name]
    if not wanted:
        return _only_model(module, file)
    cls = getattr(module, wanted, None)
    if not (inspect.isclass(cls) and issubclass(cls, Model)):
        raise UserError(f"{file} has no Model called {wanted!r}: {nearest(wanted, _models_in(module))}")
    return cls


def _models_in(module: object) -> dict[str, type[Model]]:
    from pofx.model import Model

    return {
        cls.__name__: cls
        for cls in vars(module).values()
        if inspect.isclass(cls) and issubclass(cls, Model) and cls.__module__ == module.__name__  # type: ignore[attr-defined]
    }


def _only_model(module: object, where: str) -> type[Model]:
    found = _models_in(module)
    if len(found) != 1:
        raise UserError(f"{where} holds {len(found)} models ({', '.join(found) or 'none'}): name one as file.py:Class")
    return next(iter(found.values()))
