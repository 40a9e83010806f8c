"""`pofx reconstruct`: items beside what is left of them after encoding and decoding."""

from __future__ import annotations

from typing import Any

from pofx.capabilities import Decodes, Encodes, require
from pofx.commands.files import any_form, beside, destination, side_by_side
from pofx.commands.flags import split_options
from pofx.commands.verb import verb
from pofx.options import Size
from pofx.session import BLOCK, Arrays, Part, Result, Session


@verb(Decodes, data=True, json_only=("texts",), printed_texts="texts")
def reconstruct(
    run: str | Session,
    *,
    data: str | None = None,
    split: Part = "test",
    n: Size = 16,
    out: str | None = None,
    trust: bool = False,
    **asked: Any,
) -> Result:
    """Items and what is left of them after encoding and decoding, one above the other.

    Args:
        run: a run folder
        data: what to reconstruct: a name or a path; by default the run's own data. It is prepared as the run's data were
        split: which of its splits
        n: how many items, from the first
        out: .png for a picture, .npy or .npz for the numbers; by default samples/reconstructions.png in the run folder. Of text .txt or
            .jsonl, or .npy or .npz for the tokens; by default it is printed
        trust: execute the model file that the run carries
        asked: further arguments of the model's `decode`, and how the data are read
    """
    import numpy as np

    from pofx.model import evaluating

    session = Session.load(run, trust=trust)
    encoder, decoder, kind = require(session.model, Encodes), require(session.model, Decodes), session.kind
    _, own, loading = split_options("reconstruct", asked, reconstruct.known(run, trust))
    usual = session.run.path / "samples" / "reconstructions.png"
    file = None if out is None and kind.printed else destination(out or usual, any_form(kind))
    rows = session.read_rows(data, loading, split=split)
    x = rows.read(np.arange(min(n, len(rows))))["x"]
    with evaluating(session.model):
        back = session.numbers([decoder.decode(encoder.encode(block), **own) for block in x.split(BLOCK)])
    found = {"original": x.numpy(), "reconstruction": back}
    result = Result({"run": str(session.run.path), "data": rows.spec, "items": len(back)}, found)
    if kind.printed:
        said, remains = (session.texts(some) for some in found.values())
        result.report["exact_match"] = sum(one == other for one, other in zip(said, remains, strict=True)) / len(said)
        result.report["texts"] = side_by_side(session, found)
    else:
        result.report["mean squared error"] = float(np.square(found["reconstruction"] - found["original"]).mean())
    if file is not None:
        result.artefacts[file] = beside(file, session, found, Arrays({"x": found["original"], "reconstruction": back}, "reconstruction"))
        result.report["out"] = str(file)
    return result
