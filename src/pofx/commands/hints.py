"""What a person can write on the command line about an error that knows of no flags."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pofx.errors import UserError
from pofx.kinds import Binary, Image, Series, Tokens, Vector

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
        >>> from pofx.model import Mismatch
        >>> hint(Mismatch("nade", "x", (Binary,), {"x": Image(1, 8, 8)}))
        '; make it binary with --binarize dynamic or --binarize threshold'
    """
    field, wanted, found, fields = mismatch.field, mismatch.wanted, type(mismatch.found), mismatch.fields
    if Binary in wanted and found is Image:
        return "; make it binary with --binarize dynamic or --binarize threshold"
    if Series in wanted and found is Vector:
        return "; if its rows are steps in time, pass how many make an example with --window"
    if field == "x_labelled" and "label" in fields:
        return "; pass how many rows are labelled with --labelled 100"
    if Tokens in wanted and field == "x" and found is Image:
        return "; name a text, or the text of pictures with --target caption; digits with labels are spelled with --spell english"
    if wanted == (Tokens,) and field == "x":
        return "; name a text file with --data, one example a line, or running text with --window 64"
    if field == "source" and "x" in fields and mismatch.found is None:
        return "; name what is given and what is made of it, as in --source de --target en or --data de.txt --target en.txt"
    if field == "source" and Tokens in wanted and found is Image:
        return "; a source of text is another file or key: pass it with --source"
    if Image in wanted and found is Tokens and field == "x":
        return "; that is text: `pofx models` shows which models take Tokens"
    if Image in wanted and found in (Series, Vector):
        return "; pictures are uint8, from 0 to 255"
    return ""
