"""What a conditional model is given: classes by name or by number, or each item's own label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pofx.capabilities import Samples, can
from pofx.errors import UserError, nearest

if TYPE_CHECKING:
    from pofx.kinds import Kind
    from pofx.model import Model


def condition(model: Model) -> tuple[str, Kind]:
    """The field that the model is conditional on, and its classes.

    Raises:
        UserError: the model is a p(x), or was trained as one
    """
    _, *others = model.needs().items()
    takes = [name for name, (kinds, _) in others if any(kind.label for kind in kinds) and can(model, Samples)]
    for name in takes:
        if (kind := model.inputs.get(name)) is not None and kind.classes:
            return name, kind
    title = model.title()
    if takes:
        raise UserError(f"{title} was trained without {takes[0]}, so nothing can be given: train it on data with labels, or remove --given")
    raise UserError(f"{title} is a p(x), so nothing can be given: remove --given; `pofx models` shows which models take a label")


def can_be_given(model: Model) -> bool:
    """Whether the model was trained to be conditional on a label."""
    return any(name != "x" and kind.classes for name, kind in model.inputs.items())


def classes(kind: Kind, words: Sequence[str]) -> list[int]:
    """The numbers of the classes that `words` name, by name or by number.

    Example:
        >>> from pofx.kinds import Category
        >>> classes(Category(3, ("cat", "dog", "owl")), ["owl", "0"]), classes(Category(10), ["7"])
        ([2, 0], [7])
    """
    names = list(kind.names) or [str(number) for number in range(kind.classes)]
    found = []
    for word in words:
        if word not in names and not (word.isdecimal() and int(word) < kind.classes):
            have = f"{nearest(word, names)}" if kind.names else f"they are 0 to {kind.classes - 1}"
            raise UserError(f"--given {word}: no such class; {have}")
        found.append(names.index(word) if word in names else int(word))
    return found


def given_condition(model: Model, word: str | None) -> str | int | None:
    """What `--given` says of items: the field with each item's own class, or one class for all; None where it says nothing."""
    if word is None:
        return None
    field, kind = condition(model)
    return field if word == field and word not in kind.names else classes(kind, [word])[0]
