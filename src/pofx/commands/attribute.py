"""`pofx attribute`: arithmetic with labels in the space of codes."""

from __future__ import annotations

from typing import Any

from pofx.commands.codes import KNOWN_WELL, Walk
from pofx.commands.verb import verb
from pofx.errors import UserError, nearest
from pofx.options import Size
from pofx.session import Part, Result, Session


@verb(data=True)
def attribute(
    run: str | Session,
    *,
    has: str,
    lacks: str | None = None,
    field: str = "label",
    data: str | None = None,
    split: Part = "test",
    n: Size = 8,
    strengths: tuple[float, ...] = (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5),
    out: str | None = None,
    trust: bool = False,
    **loading: Any,
) -> Result:
    """Arithmetic with codes: items, moved along the mean code of those with a label minus the mean code of those without.

    Args:
        run: a run folder
        has: the label to move towards
        lacks: the label to move away from, whose items are moved; by default every other label
        field: the data's field that holds the labels
        data: where the items are from: a name or a path; by default the run's own data
        split: which of its splits
        n: how many items to move
        strengths: how many times the direction is added
        out: .png, .npy or .npz; by default samples/attribute.png in the run folder
        trust: execute the model file that the run carries
        loading: how the data are read
    """
    import numpy as np

    from pofx import evaluate as measures

    asked = Walk(run, attribute, loading, data, split, out, "attribute.png", trust)
    fields = asked.rows.data.fields
    if field not in fields or not fields[field].classes:
        labels = [name for name, kind in fields.items() if kind.classes]
        raise UserError(
            f"the data has no labels in a field {field!r}: " + (nearest(field, labels) if labels else "they have no labels at all")
        )
    column = np.array([str(label) for label in asked.rows.ids()[field]])
    for label in (has, lacks):
        if label is not None and label not in column:
            raise UserError(f"no item has the {field} {label!r}: {nearest(label, set(column.tolist()))}")
    with_it = np.flatnonzero(column == has)
    without = np.flatnonzero(column != has if lacks is None else column == lacks)
    if not len(without):
        raise UserError(f"every item has the {field} {has!r}: there is none to move towards it")
    direction = measures.attribute_vector(
        asked.model, asked.items(with_it[:KNOWN_WELL].tolist()), asked.items(without[:KNOWN_WELL].tolist())
    )
    moved = measures.apply_attribute(asked.model, asked.items(without[:n].tolist()), direction, strengths)
    strips = {f"item {row}": strip for row, strip in zip(without[:n].tolist(), moved, strict=True)}
    steps = ", ".join(f"{s:g}" for s in strengths)
    return asked.result(strips, f"{asked.model.title()}: plus {steps} times ({has} minus {lacks or 'the others'})")
