"""`pofx traverse`: one item decoded again and again with one dimension of its code changed."""

from __future__ import annotations

from typing import Annotated, Any

from pofx.commands.codes import Walk
from pofx.commands.verb import verb
from pofx.errors import UserError
from pofx.options import Count, Positive, Range
from pofx.session import Part, Result, Session


@verb(data=True)
def traverse(
    run: str | Session,
    *,
    data: str | None = None,
    split: Part = "test",
    row: Count = 0,
    dimensions: tuple[Count, ...] | None = None,
    reach: Positive = 3.0,
    steps: Annotated[int, Range(2)] = 9,
    out: str | None = None,
    trust: bool = False,
    **loading: Any,
) -> Result:
    """One item decoded again and again with one dimension of its code changed: what each dimension means.

    A row of the picture is a dimension; along it, the dimension goes from its mean minus `reach` standard deviations (over the
    data) to its mean plus as many.

    Args:
        run: a run folder
        data: where the item is from: a name or a path; by default the run's own data
        split: which of its splits
        row: which item, from 0
        dimensions: which dimensions, from 0; by default the ten that vary most over the data
        reach: how far, in standard deviations
        steps: how many pictures a dimension
        out: .png, .npy or .npz; by default samples/traversal.png in the run folder
        trust: execute the model file that the run carries
        loading: how the data are read
    """
    import numpy as np

    from pofx import evaluate as measures

    asked = Walk(run, traverse, loading, data, split, out, "traversal.png", trust)
    x, codes = asked.items([row]), asked.codes()
    spread, middle = codes.std(0), codes.mean(0)
    chosen = list(dimensions or np.sort(np.argsort(-spread)[:10]))
    strips = {}
    for d in map(int, chosen):
        if d >= len(spread):
            raise UserError(f"dimensions must be from 0 to {len(spread) - 1}, not {d}")
        values = middle[d] + spread[d] * np.linspace(-reach, reach, steps)
        strips[f"dimension {d}"] = measures.traverse(asked.model, x, d, values.tolist())[0]
    title = f"{asked.model.title()}, item {row}: each dimension from -{reach:g} to +{reach:g} standard deviations"
    return asked.result(strips, title, dimensions=[int(d) for d in chosen])
