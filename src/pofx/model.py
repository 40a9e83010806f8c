"""The base of every model: its constructor's arguments are its configuration.

A model has the capabilities (`pofx.capabilities`) whose methods it defines. Everything else (contract checks, command line, evaluation)
is written against capabilities, never against the names of models.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import torch
from torch import nn

from pofx import renamed
from pofx.capabilities import listed, why_not
from pofx.errors import UserError, nearest
from pofx.kinds import Kind, kinds_in
from pofx.options import HyperParameter, annotations_of, check_value, options
from pofx.plan import Batch, Part, Player, Stage
from pofx.randomness import Noise


class _Constructed(type):
    """What happens to the arguments of a model before its constructor sees them: old words become those of today."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if kwargs:
            kwargs = renamed.said(cls, kwargs, inspect.signature(cls.__init__).parameters)  # type: ignore[misc]
        return super().__call__(*args, **kwargs)


class Model(nn.Module, metaclass=_Constructed):
    """The base of every model.

    A subclass's constructor takes the kinds of data it needs as leading arguments, annotated with them, and its hyper-parameters as
    keyword-only arguments. Both are checked against their annotations before the body runs and stored untouched in `config`.
    A model with one player defines `loss`; one with several players or stages defines `stages`.

    Class attributes:
        paper: (authors, year, arXiv id or other reference)
        density: "exact", "bound", or None for a model that has no log_prob
        small: hyper-parameters of a small configuration, for the contract checks
        without: method name -> why this model has not got it, for the error
    """

    paper: ClassVar[tuple[str, int, str]]
    density: ClassVar[Literal["exact", "bound"] | None] = None
    small: ClassVar[dict[str, Any]] = {}
    without: ClassVar[dict[str, str]] = {}
    config: dict[str, Any]

    def __init_subclass__(cls) -> None:
        renamed.members(cls)

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        if args or kwargs:  # copying makes an empty object first
            self.__dict__["config"] = cls._bind(args, kwargs)
        return self

    @classmethod
    def _bind(cls, args: tuple, kwargs: dict[str, Any]) -> dict[str, Any]:
        signature = inspect.signature(cls.__init__)
        for name in kwargs:
            if name not in signature.parameters:
                raise UserError(f"{cls.title()} has no argument {name!r}: {nearest(name, list(signature.parameters)[1:])}")
        try:
            bound = signature.bind(None, *args, **kwargs)
        except TypeError as error:
            raise UserError(f"{cls.title()}: {error}") from None
        bound.apply_defaults()
        config = dict(list(bound.arguments.items())[1:])
        annotations = annotations_of(cls.__init__)
        for name, value in config.items():
            if name not in annotations:
                raise UserError(
                    f"{cls.title()}: argument {name!r} of __init__ has no annotation: write its kind or type, such as {name}: int"
                )
            check_value(f"{cls.title()}: {name}", annotations[name], value)
        return config

    @classmethod
    def title(cls) -> str:
        """The model's name: its file's name."""
        return cls.__module__.rsplit(".", 1)[-1] if cls.__module__.startswith("pofx.models.") else cls.__name__

    @classmethod
    def family(cls) -> str:
        """The folder that the model's file lies in; "yours" for a model from outside pofx."""
        return cls.__module__.split(".")[2] if cls.__module__.startswith("pofx.models.") else "yours"

    @classmethod
    def needs(cls) -> dict[str, tuple[tuple[type[Kind], ...], bool]]:
        """The data fields that the model takes: name -> (kinds it accepts, whether it is required)."""
        annotations, parameters = annotations_of(cls.__init__), inspect.signature(cls.__init__).parameters
        return {
            name: (kinds, parameters[name].default is inspect.Parameter.empty)
            for name, annotation in annotations.items()
            if name in parameters and (kinds := kinds_in(annotation))
        }

    @classmethod
    def hyper_parameters(cls) -> list[HyperParameter]:
        """The constructor's keyword arguments, with the help from the class docstring's Args."""
        return [p for p in options(cls.__init__, cls.__doc__) if p.name not in cls.needs()]

    @classmethod
    def capabilities(cls) -> tuple[str, ...]:
        """What may be asked of this model, as `pofx models` shows it; whoever asks whether one of them is there takes `can`."""
        return listed(cls)

    @property
    def inputs(self) -> dict[str, Kind]:
        """The kinds of data that this model was made for, by field name."""
        return {name: self.config[name] for name in self.needs() if self.config[name] is not None}

    @property
    def parameter_count(self) -> int:
        """Free numbers that the model is made of; a model that is solved in closed form, and keeps buffers, says how many itself."""
        return sum(p.numel() for p in self.parameters())

    def loss(self, batch: Batch, noise: Noise) -> dict[str, Part]:
        """Named parts of the loss, each per example (B,); their sum is minimised."""
        raise TypeError(f"{self.title()} defines neither `loss` nor `stages`")

    def stages(self) -> Sequence[Stage]:
        """How this model is trained; by default one player that owns everything."""
        return [Stage("train", [Player(self.title(), [self], self.loss, key=renamed.stored(type(self)))])]

    if not TYPE_CHECKING:  # so that mypy knows of a model what it defines, and what `can` has narrowed it to

        def __getattr__(self, name: str) -> Any:
            if (why := why_not(self, name)) is not None:  # not the user's error: `require` alone raises that
                raise AttributeError(why)
            try:
                return super().__getattr__(name)
            except AttributeError as missing:
                if name not in renamed.MEMBERS:
                    raise
                try:
                    found = super().__getattr__(renamed.MEMBERS[name])
                except AttributeError:
                    raise missing from None  # by the word that was asked for
            renamed.notice(name, renamed.MEMBERS[name])
            return found


class Mismatch(UserError):
    """Data have not got what a model needs. Whoever speaks to the user may add what to do about it.

    Args:
        model: its title
        field: that it needs
        wanted: the kinds that it takes there
        fields: all that the data have, name -> kind
    """

    def __init__(self, model: str, field: str, wanted: tuple[type[Kind], ...], fields: Mapping[str, Kind]):
        super().__init__(model, field, wanted, fields)
        self.model, self.field, self.wanted, self.fields = model, field, wanted, dict(fields)
        self.found = self.fields.get(field)  # None where there is no such field

    def __str__(self) -> str:
        wanted = " or ".join(kind.type_name() for kind in self.wanted)
        have = ", ".join(f"{field}: {kind}" for field, kind in self.fields.items()) or "nothing"
        return f"{self.model} needs {self.field}: {wanted}, but the data has {have}"


def bind(cls: type[Model], fields: dict[str, Kind]) -> dict[str, Kind]:
    """The kind for each field that the model takes, from those the data have.

    Args:
        cls: a model class
        fields: the data's fields, name -> kind

    Raises:
        Mismatch: a field that the model needs is not there, or is of another kind; it names both sides
    """
    chosen: dict[str, Kind] = {}
    for name, (kinds, required) in cls.needs().items():
        if name in fields and isinstance(fields[name], kinds):
            chosen[name] = fields[name]
        elif required:
            raise Mismatch(cls.title(), name, kinds, fields)
    return chosen


def unconditional(model: Model, given: Any) -> None:
    """What a p(x) is asked with: nothing is given.

    Raises:
        UserError: something is
    """
    if given is not None:
        raise UserError(f"{model.title()} is a p(x), so nothing can be given: remove it")


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode and without gradients; every module's mode is put back afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training


def device_of(model: nn.Module) -> torch.device:
    """Where the model's parameters and buffers are; the CPU for a model that has none."""
    return next((tensor.device for tensor in model.state_dict().values()), torch.device("cpu"))


__getattr__ = renamed.stayed(__name__)  # names that are elsewhere now
