"""`pofx sweep`: one part of a generator's code swept and the rest held."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pofx.capabilities import Generates, HasParts, can, require
from pofx.commands.files import destination, strip_forms
from pofx.commands.verb import verb
from pofx.errors import UserError
from pofx.options import Count, Range, Seed, Size
from pofx.session import Arrays, Result, Session

if TYPE_CHECKING:
    from torch import Tensor

    from pofx.distributions.priors import Prior


STRIPS = 10  # that are shown where none is chosen


@verb()
def sweep(
    run: str | Session,
    *,
    code: str | None = None,
    dimensions: tuple[Count, ...] | None = None,
    rows: Size | None = None,
    steps: Annotated[int, Range(2)] = 10,
    seed: Seed = 0,
    out: str | None = None,
    trust: bool = False,
) -> Result:
    """What one part of a generator's code does: it goes through its values along a row, and the rest of the code is held.

    Each row begins from one draw of the whole code. A categorical code goes through its classes, a uniform one from -1 to 1, a Gaussian
    one from -2 to 2.

    Args:
        run: a run folder of a model that generates
        code: which part of the code, by name, such as c1; by default each part that is one class or one number, or, where parts have no
            names, the first ten dimensions
        dimensions: which numbers of a part that has several, from 0; by default the first ten
        rows: draws of the rest; 8 by default for one part or dimension, 1 of each for several
        steps: how many pictures a row, of a continuous code
        seed: of the draws
        out: .png, .npy (draws, steps, ...) of one code, or .npz with an array a code; by default samples/sweep.png in the run folder
        trust: execute the model file that the run carries
    """
    from pofx.inference.steering import generated, swept
    from pofx.randomness import generator
    from pofx.render.pictures import labelled_rows

    session = Session.load(run, trust=trust)
    model, prior, kind = session.model, require(session.model, Generates).prior, session.kind
    file = destination(out or session.run.path / "samples" / "sweep.png", strip_forms(kind))
    parts = chosen(prior, code, dimensions, steps, model.title())
    if file.suffix.lower() == ".npy" and len(parts) > 1:
        raise UserError(f"--out {out}: {', '.join(parts)} make an array each: name a .npz, or choose one with --code or --dimensions")
    rows = rows or (8 if len(parts) == 1 else 1)
    z_Bd = prior.sample(rows, next(model.parameters()), generator(("sweep", seed)))
    x = {}
    for name, (columns, values_Sk) in parts.items():
        z_BSd = swept(z_Bd, columns, values_Sk)
        x[name] = generated(model, z_BSd.flatten(0, 1)).reshape(*z_BSd.shape[:2], *kind.shape)
    if file.suffix.lower() == ".png":
        shown = {name if rows == 1 else f"{name}, draw {i}": (strip, kind) for name, all_ in x.items() for i, strip in enumerate(all_)}
        artefact: Any = labelled_rows(shown, f"{model.title()}: one part of the code changes along a row, the rest is held")
    else:
        artefact = Arrays(x, next(iter(x)))
    report = {"run": str(session.run.path), "codes": list(parts), "draws": rows, "seed": seed, "out": str(file)}
    return Result(report, x, artefacts={file: artefact})


def chosen(
    prior: Prior, code: str | None, dimensions: tuple[int, ...] | None, steps: int, title: str = "the model"
) -> dict[str, tuple[slice, Tensor]]:
    """What is to be swept: name -> (its columns in the code, their values in order (S, k)).

    Raises:
        UserError: a code or a dimension that is not there
    """
    from pofx.distributions.priors import Gaussian

    if not can(prior, HasParts):
        if code is not None:
            raise UserError(
                f"the code of {title} has no parts with names, but {prior.dims} dimensions: choose with --dimensions, not --code"
            )
        return _strips("", prior, 0, dimensions, steps)
    if code is not None:
        start = prior.where(code).start
        return _strips(code, prior.parts[code], start, dimensions, steps)
    if dimensions:
        raise UserError(f"pass --code with what the dimensions are of: {', '.join(prior.parts)}")
    single = {name: part for name, part in prior.parts.items() if part.dims == 1 or not isinstance(part, Gaussian)}
    found: dict[str, tuple[slice, Tensor]] = {}
    for name, part in (single or prior.parts).items():
        found |= _strips(name, part, prior.where(name).start, None, steps)
    return dict(list(found.items())[:STRIPS])


def _strips(name: str, part: Prior, start: int, dimensions: tuple[int, ...] | None, steps: int) -> dict[str, tuple[slice, Tensor]]:
    from pofx.distributions.priors import Gaussian

    values = part.sweep(steps)
    if not isinstance(part, Gaussian):  # all its numbers go together
        if dimensions:
            raise UserError(f"{name or 'this code'} is swept as a whole: remove --dimensions")
        return {name or "code": (slice(start, start + part.dims), values)}
    found = {}
    for d in dimensions or range(min(part.dims, STRIPS)):
        if d >= part.dims:
            raise UserError(f"dimensions must be from 0 to {part.dims - 1}, not {d}")
        label = name if name and part.dims == 1 else f"{name} dimension {d}".strip()
        found[label] = (slice(start + d, start + d + 1), values[d * steps : (d + 1) * steps, d : d + 1])
    return found
