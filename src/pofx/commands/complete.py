"""Completing: what is known of an item is kept, and the rest is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pofx.capabilities import Completes, NamesContext, can, require
from pofx.commands.condition import given_condition
from pofx.commands.files import destination, strip_forms
from pofx.commands.flags import split_options
from pofx.commands.masks import mask, with_holes
from pofx.commands.verb import verb
from pofx.errors import UserError
from pofx.options import Seed, Size
from pofx.session import BLOCK, Arrays, Part, Result, Rows, Session, prepared


@verb(Completes, data=True)
def complete(
    run: str | Session,
    *,
    data: str | None = None,
    split: Part | None = None,
    known: str | None = None,
    n: Size = 8,
    draws: Size = 4,
    given: str | None = None,
    out: str | None = None,
    seed: Seed = 0,
    trust: bool = False,
    **asked: Any,
) -> Result:
    """Complete items of which only a part is known: each several times, one below the other.

    The report says what the model sees of what is known: one that draws row by row sees only what comes before.

    Args:
        run: a run folder
        data: what to complete: a name or a path; by default the run's own data. It is prepared as the run's data were. Where a .npy has
            NaN in it, that is drawn
        split: which of its splits: by default test of the run's own data, all of other data
        known: top, bottom, left, right, centre, border or checkerboard of pictures; first (half of the numbers); a fraction, at random; a
            .png (white is known) or a .npy (true is known). By default top of pictures, first of anything else
        n: how many items, from the first
        draws: completions of each
        given: for a conditional model: label (each item's own), or one class for all; by default drawn, as what is known suggests
        out: .png for a picture, .npy or .npz for the numbers; by default samples/completions.png in the run folder, .npz if x is no picture
        seed: of the draws, and of a random mask
        trust: execute the model file that the run carries
        asked: further arguments of the model's `complete`, and how the data are read
    """
    import numpy as np
    import torch

    from pofx.model import evaluating
    from pofx.randomness import generator
    from pofx.render.pictures import labelled_rows, masked

    session = Session.load(run, trust=trust)
    model, kind, path = session.model, session.kind, session.run.path
    completer = require(model, Completes)
    _, own, loading = split_options("complete", asked, complete.known(run, trust))
    chosen_label = given_condition(model, given)
    file = destination(out or path / "samples" / ("completions.png" if kind.picture else "completions.npz"), strip_forms(kind))
    holes = with_holes(Path(data), kind) if data is not None and known is None else None
    labels = None
    if holes is None:
        needed = (chosen_label,) if isinstance(chosen_label, str) else ()
        loaded = prepared(session.run, model, data, loading, also=needed)
        own_data = loaded.record["spec"] == session.run.config.get("data", {}).get("spec")
        rows = Rows(loaded, split or ("test" if own_data else "all"))
        batch = rows.read(np.arange(min(n, len(rows))))
        x, spec, what = batch["x"], loaded.record["spec"], known or ("top" if len(kind.places) == 2 else "first")
        keep = mask(what, kind, len(x), seed)
        labels = batch[chosen_label] if isinstance(chosen_label, str) else None
    else:
        if isinstance(chosen_label, str):
            raise UserError(f"--given {given}: {data} holds no labels: name one class")
        x, keep, spec, what = torch.from_numpy(holes[0][:n]), holes[1][:n], data, "what is not NaN"
    if isinstance(chosen_label, int):
        labels = torch.full((len(x),), chosen_label)
    known_mask, noise = torch.from_numpy(keep), generator(("complete", seed))
    done = []
    with evaluating(model):
        for rows_of in torch.arange(len(x)).repeat(draws).split(BLOCK):
            condition = {} if labels is None else {"given": labels[rows_of]}
            done.append(completer.complete(x[rows_of], known_mask[rows_of], generator=noise, **condition, **own))
    completed = session.numbers(done).reshape(draws, *x.shape)
    if file.suffix.lower() == ".png":
        strips = {} if holes else {"original": (x.numpy(), kind)}
        if kind.dtype == "float32":  # whole numbers have no gap to be drawn as
            strips["known"] = masked(x.numpy(), keep, kind)
        strips |= {f"drawn {k + 1}": (drawn, kind) for k, drawn in enumerate(completed)}
        artefact: Any = labelled_rows(strips)
    else:
        original = np.where(keep, x.numpy(), np.nan) if holes else x.numpy()
        artefact = Arrays({"x": original, "known": keep, "completion": completed.swapaxes(0, 1)}, "completion")
    report = {
        "run": str(path),
        "data": spec,
        "items": len(x),
        "draws": draws,
        "known": what,
        "known_share": float(keep.mean()),
        "each_draw_depends_on": model.completion_context if can(model, NamesContext) else None,
        "given": given,
        "seed": seed,
        **own,
        "out": str(file),
    }
    return Result(report, {"completion": completed.swapaxes(0, 1)}, artefacts={file: artefact})
