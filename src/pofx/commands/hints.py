"""What a person can write on the command line about an error that knows of no flags."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pofx.errors import UserError
from pofx.session import refusal_hint

if TYPE_CHECKING:
    from pofx.kinds import Kind
    from pofx.model import Mismatch, Model


def bound(cls: type[Model], fields: dict[str, Kind]) -> dict[str, Kind]:
    """`pofx.model.bind`, with flags in its error: which of them may make the data what the model needs."""
    from pofx.model import Mismatch, bind

    try:
        return bind(cls, fields)
    except Mismatch as mismatch:
        raise UserError(f"{mismatch}{hint(mismatch)}") from None


def hint(mismatch: Mismatch) -> str:
    """The end of a mismatch's line: what to write instead; empty where nothing comes to mind.

    Example:
        >>> from pofx.kinds import Binary, Image
        >>> from pofx.model import Mismatch
        >>> hint(Mismatch("nade", "x", (Binary,), {"x": Image(1, 8, 8)}))
        '; make it binary with --binarize dynamic or --binarize threshold'
    """
    field, wanted, found, fields = mismatch.field, mismatch.wanted, mismatch.found, mismatch.fields
    text = any(kind.text for kind in wanted)
    if field == "x_labelled" and "label" in fields:
        return "; pass how many rows are labelled with --labelled 100"
    if field == "source" and "x" in fields and found is None:
        return "; name what is given and what is made of it, as in --source de --target en or --data de.txt --target en.txt"
    if field == "source" and text and found is not None and not found.text:
        return "; a source of text is another file or key: pass it with --source"
    if found is None:
        return refusal_hint(wanted[0].hints) if len(wanted) == 1 and field == "x" else ""
    return next((said for kind in wanted if (said := refusal_hint(kind.takes(found)))), "")
