"""The flags of a verb beyond its own, which depend on what it is asked about: a model's hyper-parameters, the loader's options, a
capability's own arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from pofx.capabilities import method
from pofx.errors import UserError, nearest
from pofx.options import REQUIRED, HyperParameter, annotations_of, argument_help, check_value, options
from pofx.session import Session

if TYPE_CHECKING:
    from pofx.model import Model


@dataclass(frozen=True)
class Flags:
    """A titled group of flags: the name as written -> the option it sets.

    Args:
        title: shown in help
        options: by the name as written
        prefix: of names that an earlier group has taken: `--seed` is always the training's, a model's own `seed` is `--model-seed`
    """

    title: str
    options: dict[str, HyperParameter] = field(default_factory=dict)
    prefix: str = ""

    @staticmethod
    def of(title: str, function: Any, *, prefix: str = "", without: tuple[str, ...] = ()) -> Flags:
        """The keyword-only arguments of `function`, with the help of its docstring."""
        found = options(function, function.__doc__)
        return Flags(title, {option.name: option for option in found if option.name not in without}, prefix)

    def take(self, given: dict[str, Any]) -> dict[str, Any]:
        """Those of `given` that are in this group, checked, by their options' own names; they are removed from `given`."""
        taken = {}
        for name in [name for name in given if name in self.options]:
            taken[self.options[name].name] = value = given.pop(name)
            check_value(name, self.options[name].annotation, value)
        return taken


Known = Callable[..., list[Flags]]


def together(*groups: Flags) -> list[Flags]:
    """The groups with every name taken once: where an earlier group has it, a later one says its prefix first."""
    taken, result = {"help", "json"}, []
    for group in groups:
        renamed = {(f"{group.prefix}_{name}" if name in taken else name): option for name, option in group.options.items()}
        taken |= renamed.keys()
        result.append(Flags(group.title, renamed, group.prefix))
    return result


def split_options(verb: str, given: dict[str, Any], groups: list[Flags]) -> list[dict[str, Any]]:
    """`given` shared out among `groups`, checked; a UserError names what no group knows."""
    given = dict(given)
    taken = [group.take(given) for group in groups]
    for name in given:
        raise UserError(f"{verb} has no option {name!r}: {nearest(name, [known for group in groups for known in group.options])}")
    return taken


def data_flags(prefix: str = "data") -> Flags:
    """How data are read and prepared: the options of `pofx.data.load`."""
    from pofx.data import load

    return Flags.of("data", load, prefix=prefix)


def training_flags() -> Flags:
    """How to train: the fields of `pofx.train.Training`."""
    from pofx.train import Training

    annotations, helps = annotations_of(Training), argument_help(Training.__doc__)
    own = {
        f.name: HyperParameter(f.name, annotations[f.name], REQUIRED if f.default is MISSING else f.default, helps.get(f.name, ""))
        for f in fields(Training)
    }
    return Flags("training", own, "training")


def asking_flags(verb: Callable[..., Any], *capabilities: type, data: bool = True) -> Known:
    """All flags of `verb`, which asks a run's model for `capabilities`: its own, those of their methods, and how data are read."""

    def flags(run: str | Session | None = None, trust: bool = False) -> list[Flags]:
        groups, own = [Flags.of("flags", verb)], dict[str, HyperParameter]()
        if run is not None:
            cls = asked_class(run, trust)
            for capability in capabilities:
                if (ask := method(cls, capability)) is not None:
                    own |= Flags.of("", ask, without=("given", "generator", "prompt")).options
            groups.append(Flags(f"what {cls.title()} can be asked", own, "model"))
        return together(*groups, *([data_flags()] if data else []))

    return flags


def asked_class(run: str | Session, trust: bool) -> type[Model]:
    """The class of a run's model, which is not constructed."""
    from pofx.run import Run

    return type(run.model) if isinstance(run, Session) else Run(run).model_class(trust=trust)
