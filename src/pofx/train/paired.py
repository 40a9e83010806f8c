"""Which examples a model's labels are of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pofx.errors import UserError
from pofx.model import Model

if TYPE_CHECKING:
    from pofx.data import Data


def require_paired(model: Model, data: Data) -> None:
    """Raise a UserError if the model takes labels of examples that it does not take: it would hold them for those of others."""
    for name, kind in model.inputs.items():
        own = [other for other, group in data.groups.items() if group == data.groups.get(name) and other != name]
        if kind.classes and own and not set(own) & set(model.inputs):
            raise UserError(
                f"{model.title()} takes {', '.join(model.inputs)}, but {name} is known of {', '.join(own)} only: remove --labelled, "
                f"or train a model that takes {own[0]} (pofx models shows which)"
            )
