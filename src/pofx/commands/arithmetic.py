"""`pofx arithmetic`: sums of the codes of samples."""

from __future__ import annotations

from typing import Annotated

from pofx.capabilities import Generates, require
from pofx.commands.files import destination, strip_forms
from pofx.commands.verb import verb
from pofx.errors import UserError
from pofx.options import Count, Range, Seed
from pofx.session import Arrays, Result, Session

SHEET = 8  # samples in a row of a numbered sheet


@verb()
def arithmetic(
    run: str | Session,
    *,
    start: tuple[Count, ...] | None = None,
    minus: tuple[Count, ...] = (),
    plus: tuple[Count, ...] = (),
    n: Annotated[int, Range(1, 500)] = 64,
    around: Count = 8,
    seed: Seed = 0,
    out: str | None = None,
    trust: bool = False,
) -> Result:
    """Arithmetic with the codes of samples: first a numbered sheet to choose from, then start - minus + plus.

    The samples are those of `pofx sample RUN --n N --seed SEED`, numbered from 0. Without --start they are drawn as a sheet. With it, the
    mean code of the samples in `start`, less that of those in `minus`, plus that of those in `plus`, is drawn, and others around it.

    Args:
        run: a run folder of a model that generates
        start: numbers of the samples to start from
        minus: numbers of the samples whose mean code is taken away
        plus: numbers of the samples whose mean code is added
        n: how many samples the sheet has
        around: how many more to draw around the result, with noise from -0.25 to 0.25 on its code
        seed: of the samples
        out: .png, or .npy or .npz with the result and those around it; by default samples/numbered.png for the sheet,
            samples/arithmetic.png for the result, in the run folder
        trust: execute the model file that the run carries
    """
    import torch

    from pofx.inference import steering
    from pofx.randomness import generator
    from pofx.render.pictures import labelled_rows

    session = Session.load(run, trust=trust)
    model, prior, kind = session.model, require(session.model, Generates).prior, session.kind
    if start is None and (minus or plus):
        raise UserError("pass --start with the samples to start from")
    name = "numbered.png" if start is None else "arithmetic.png"
    file = destination(out or session.run.path / "samples" / name, strip_forms(kind))
    for number in (*(start or ()), *minus, *plus):
        if number >= n:
            raise UserError(f"sample {number} is asked for, but there are {n}: they count from 0")
    z_Bd = prior.sample(n, next(model.parameters()), source := generator(("sample", seed)))
    report = {"run": str(session.run.path), "samples": n, "seed": seed, "out": str(file)}
    if start is None:
        x = steering.generated(model, z_Bd)
        shown = {f"{i} to {min(i + SHEET, n) - 1}": (x[i : i + SHEET], kind) for i in range(0, n, SHEET)}
        title = f"{model.title()}: samples by number"
    else:
        result_1d = steering.combined(z_Bd, start, minus, plus)
        x = steering.generated(model, torch.cat([result_1d, steering.around(prior, result_1d, around, generator=source)]))
        terms = {"start": start, "minus": minus, "plus": plus}
        shown = {}
        for term, numbers in terms.items():
            if numbers:  # the samples, and what their mean code makes
                codes = torch.cat([z_Bd[list(numbers)], steering.combined(z_Bd, numbers)])
                shown[f"{term} {' '.join(map(str, numbers))}, mean"] = (steering.generated(model, codes), kind)
        shown["result, and around it"] = (x, kind)
        title = f"{model.title()}: mean code of start, minus, plus"
        report |= {term: list(numbers) for term, numbers in terms.items()}
    artefact = labelled_rows(shown, title) if file.suffix.lower() == ".png" else Arrays({"x": x}, "x")
    return Result(report, {"x": x}, artefacts={file: artefact})
