"""Checks of what a model says about itself: its arguments, its errors, and the kinds of what it gives back."""

from __future__ import annotations

import inspect
import json
import operator
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import torch

from pofx.capabilities import CAPABILITIES, Scores, require
from pofx.errors import Lacks, UserError
from pofx.kinds import Kind
from pofx.options import Range
from pofx.run import describe
from pofx.testing.cases import BATCH, Case, answers, check, halves, refuses


@check()
def arguments(case: Case) -> None:
    """The constructor's arguments are the configuration: stored untouched, written to JSON and back, each with its help."""
    cls, model = case.cls, case.model()
    asked = {**case.kinds, **cls.small}
    for name, value in asked.items():
        assert model.config[name] is value, f"config[{name!r}] is {model.config[name]!r}, but {value!r} was given"
    for name, parameter in list(inspect.signature(cls.__init__).parameters.items())[1:]:
        assert name in model.config, f"{name} is missing from config"
        assert name in asked or model.config[name] == parameter.default, f"config[{name!r}] is not the default {parameter.default!r}"

    record = json.loads(json.dumps(describe(model)))
    kinds = {name: Kind.from_json(kind) for name, kind in record["kinds"].items()}
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in record["arguments"].items()}
    assert cls(**kinds, **given).config == model.config, "config does not survive JSON"

    for option in cls.hyper_parameters():
        assert option.help, f"{option.name} has no help: describe it in the docstring's Args"


@check()
def bad_arguments(case: Case) -> None:
    """An unknown argument and a value out of range are UserErrors, before anything is built."""
    cls = case.cls

    def build(**bad: Any) -> Any:
        return cls(**{**case.kinds, **cls.small, **bad})

    message = refuses(lambda: build(no_such_argument=1), "an unknown argument")
    assert "no_such_argument" in message, f"the error does not name the argument: {message}"
    for option in cls.hyper_parameters():
        for bad in _outside(option.annotation):
            message = refuses(lambda name=option.name, bad=bad: build(**{name: bad}), f"{option.name}={bad!r}")  # type: ignore[misc]
            assert option.name in message, f"the error does not name {option.name}: {message}"


def _outside(annotation: Any) -> list[Any]:
    """Values that `annotation` does not allow."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return next((_outside(option) for option in args if option is not types.NoneType), [])
    if origin is Annotated:
        limits = [limit for limit in args[1:] if isinstance(limit, Range)]
        step = 1 if args[0] is int else 1.0
        low = [type(step)(limit.low - (0 if limit.above else 1)) for limit in limits if limit.low > -float("inf")]
        high = [type(step)(limit.high + 1) for limit in limits if limit.high < 2**53]
        return [*low, *high, *_outside(args[0])]
    if origin is Literal:
        return ["no such choice"]
    if origin is tuple:
        return [(bad,) for bad in _outside(args[0])]
    return ["text"] if annotation in (int, float) else []


@check()
def documentation(case: Case) -> None:
    """Who published it and when, and a docstring with its references."""
    cls = case.cls
    authors, year, reference = cls.paper
    for text, what in ((authors, "authors"), (reference, "reference, such as an arXiv id")):
        assert text == str(text) != "", f"paper has no {what}"
    assert year in range(1700, 2200), f"paper: {year!r} is no year"
    assert "References:" in (cls.__doc__ or ""), "the docstring has no block References"
    assert cls.density in ("exact", "bound", None), f"density is {cls.density!r}"
    assert (cls.density is None) != case.can(Scores), (
        f"density is {cls.density!r}, but log_prob is {'' if case.can(Scores) else 'not '}there"
    )


@check()
def lacks(case: Case) -> None:
    """Asking for what the model has not got is an error that says why."""
    model = case.model()
    for capability in CAPABILITIES.values():
        (method, *_), why = capability.members, case.cls.without
        if case.can(capability.protocol):
            assert method not in why, f"the model has {method}, but `without` says why it has not"
        elif capability.listed:
            message = ""
            try:
                require(model, capability.protocol)
            except Lacks as error:
                message = str(error)
            assert method in message, f"the error about {method} does not name it: {message}"
            assert why.get(method, "what it can: ") in message, f"the error about {method} does not say why: {message}"
            try:
                said = f"it has {operator.attrgetter(method)(model)}"
            except AttributeError as error:
                said = str(error)
            assert said == message, f"asked for {method}, the model does not say what `require` says, but: {said}"


@check()
def outputs(case: Case) -> None:
    """What the model gives back is of the kind that it declares."""
    model = case.trained(torch.float32)
    found = answers(model, case, torch.float32)
    labels = [kind for kind in case.kinds.values() if kind.classes]
    for name, value in found.items():
        if name == "log_prob":
            assert value.shape == (BATCH,), f"log_prob has shape {tuple(value.shape)}"
        elif name == "encode":
            assert isinstance(model.codes, Kind), "a model that encodes says of what kind its codes are: self.codes"
            assert value.shape == (BATCH, *model.codes.shape), f"encode gives {tuple(value.shape)}, codes are {model.codes}"
        elif name == "classify":
            classes = {kind.classes for kind in labels} or {value.shape[-1]}
            assert value.shape in {(BATCH, n) for n in classes}, f"logits have shape {tuple(value.shape)}, labels are {labels}"
        elif name == "hash":
            assert (value.dtype, value.ndim, len(value)) == (torch.uint8, 2, BATCH), f"hash gives {value.dtype} {tuple(value.shape)}"
            continue
        elif name == "cluster":
            assert (value.dtype, value.shape) == (torch.int64, (BATCH,)), f"cluster gives {value.dtype} {tuple(value.shape)}"
            assert set(value.tolist()) <= set(range(model.clusters)), f"clusters are {value.tolist()}, not below {model.clusters}"
        elif case.x.text and name in ("decode", "sample", "translate"):
            assert value.dtype == torch.int64, f"{name} gives {value.dtype}, not tokens"
            assert len(value) == BATCH, f"{name} gives {tuple(value.shape)} for {BATCH} rows"
            assert 0 < value.shape[1] <= case.x.size, f"{name} gives {tuple(value.shape)} for {case.x}"
            try:
                case.x.check(value, name=name, model=case.cls.title())
            except UserError as error:
                raise AssertionError(f"{error}: {value.tolist()}") from None
        elif name in ("decode", "generate", "sample", "complete"):
            assert value.shape == (BATCH, *case.x.shape), f"{name} gives {tuple(value.shape)} for {case.x}"
            if case.x.levels and name != "decode":
                assert torch.equal(value, value.clamp(0, 1)), f"{name} leaves [0, 1]: {value.min():g} to {value.max():g}"
        assert not value.is_floating_point() or value.dtype == torch.float32, f"{name} of a float32 model is {value.dtype}"
        assert value.isfinite().all(), f"{name} is not finite"
    if "complete" in found:
        x = case.first(BATCH, torch.float32)
        known = halves(x)
        assert torch.equal(found["complete"][known], x[known]), "complete changed what is known"
