"""Keyword arguments of what a model is asked: which there are, checked, and with their defaults."""

from __future__ import annotations

from typing import Any

from pofx.capabilities import Samples, Scores, Translates, method
from pofx.errors import UserError, nearest
from pofx.model import Model
from pofx.options import HyperParameter, check_value, options


def known_options(model: object, capability: type = Samples) -> dict[str, HyperParameter]:
    """The keyword arguments of a capability by name, beside `given`, `generator` and `prompt`; none where the model has not got it."""
    function = method(model if isinstance(model, type) else type(model), capability)
    found = [] if function is None else options(function, function.__doc__)
    return {option.name: option for option in found if option.name not in ("given", "generator", "prompt")}


def sampling_options(model: Model, asked: dict[str, Any]) -> dict[str, Any]:
    """Every keyword argument of the model's `sample` beside `given` and `generator`, as asked or by default."""
    return _in_force(model, Samples, asked)


def scoring_options(model: Model, asked: dict[str, Any]) -> dict[str, Any]:
    """Every keyword argument of the model's `log_prob` beside `given` and `generator`, as asked or by default."""
    return _in_force(model, Scores, asked)


def translating_options(model: Model, asked: dict[str, Any]) -> dict[str, Any]:
    """Every keyword argument of the model's `translate`, as asked or by default."""
    return _in_force(model, Translates, asked)


def _in_force(model: Model, capability: type, asked: dict[str, Any]) -> dict[str, Any]:
    known = known_options(model, capability)
    for name, value in asked.items():
        if name not in known:
            called = method(type(model), capability).__name__
            raise UserError(f"{called} of {model.title()} has no argument {name!r}: {nearest(name, known)}")
        check_value(name, known[name].annotation, value)
    return {name: asked.get(name, option.default) for name, option in known.items()}
