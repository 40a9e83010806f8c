"""`pofx reconstruct`: items beside what is left of them after encoding and decoding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pofx.commands.texts as texts
from pofx.capabilities import Decodes, Encodes, require
from pofx.commands.files import ARRAYS, as_array, destination, write_arrays, write_picture
from pofx.commands.flags import asking_flags, sort
from pofx.commands.prepare import BLOCK, Part, Rows, prepared
from pofx.kinds import Tokens
from pofx.options import Size

if TYPE_CHECKING:
    from pofx.model import Model
    from pofx.run import Run


def reconstruct(
    run: str, *, data: str | None = None, split: Part = "test", n: Size = 16, out: str | None = None, trust: bool = False, **asked: Any
) -> dict[str, Any]:
    """Items and what is left of them after encoding and decoding, one above the other.

    Args:
        run: a run folder
        data: what to reconstruct: a name or a path; by default the run's own data. It is prepared as the run's data were
        split: which of its splits
        n: how many items, from the first
        out: .png for a picture, .npy or .npz for the numbers; by default samples/reconstructions.png in the run folder. Of text .txt or
            .jsonl; by default it is printed
        trust: execute the model file that the run carries
        asked: further arguments of the model's `decode`, and how the data are read
    """
    import numpy as np

    from pofx.model import evaluating
    from pofx.render.pictures import labelled_rows
    from pofx.run import Run

    found = Run(run)
    model = found.model(trust=trust)
    encoder, decoder = require(model, Encodes), require(model, Decodes)
    _, own, loading = sort("reconstruct", asked, reconstruct_flags(run, trust))
    if isinstance(model.inputs["x"], Tokens):
        rows = Rows(prepared(found, model, data, loading), split)
        return reconstructed_texts(found, model, rows=rows, n=n, out=out, options=own)
    file = destination(out or found.path / "samples" / "reconstructions.png", (".png", *ARRAYS))
    loaded = prepared(found, model, data, loading)
    rows = Rows(loaded, split)
    x = rows.read(np.arange(min(n, len(rows))))["x"]
    with evaluating(model):
        back = as_array([decoder.decode(encoder.encode(block), **own) for block in x.split(BLOCK)])
    if file.suffix.lower() == ".png":
        kind = loaded.fields["x"]
        write_picture(file, labelled_rows({"original": (x.numpy(), kind), "reconstruction": (back, kind)}))
    else:
        write_arrays(file, {"x": x.numpy(), "reconstruction": back}, "reconstruction")
    error = float(np.square(back - x.numpy()).mean())
    return {"run": str(found.path), "data": loaded.record["spec"], "items": len(back), "mean squared error": error, "out": str(file)}


reconstruct_flags = asking_flags(reconstruct, Decodes)


def reconstructed_texts(run: Run, model: Model, *, rows: Rows, n: int, out: str | None, options: dict[str, Any]) -> dict[str, Any]:
    """Texts, and what is left of them after encoding and decoding, as `pofx reconstruct` gives them.

    Args:
        run: of the model
        model: that encodes and decodes x of kind `Tokens`
        rows: of the data
        n: how many, from the first
        out: .txt or .jsonl; by default they are in the report
        options: further arguments of the model's `decode`
    """
    from pofx.model import evaluating

    encoder, decoder = require(model, Encodes), require(model, Decodes)
    tokenizer, file = run.tokenizer("x"), destination(out, texts.TEXTS) if out else None
    x_BL = rows.read(list(range(min(n, len(rows)))))["x"]
    with evaluating(model):
        back_BL = decoder.decode(encoder.encode(x_BL), **options)
    said, back = ([tokenizer.decode(x_L) for x_L in some.tolist()] for some in (x_BL, back_BL))
    pairs = [f"original        {one}\nreconstruction  {other}" for one, other in zip(said, back, strict=True)]
    same = sum(one == other for one, other in zip(said, back, strict=True)) / len(said)
    report: dict[str, Any] = {"run": str(run.path), "items": len(said), "exact_match": same, "texts": pairs}
    if file is not None:
        table = [{"original": one, "reconstruction": other} for one, other in zip(said, back, strict=True)]
        texts.write_texts(file, pairs, table, {})
        report["out"] = str(file)
    return report
