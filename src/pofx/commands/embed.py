"""`pofx embed`: the code of every item."""

from __future__ import annotations

from typing import Any

from pofx.capabilities import Encodes, require
from pofx.commands.files import ARRAYS, TABLES, as_array, destination, write_arrays, write_table
from pofx.commands.flags import asking_flags, sort
from pofx.commands.prepare import Part, Rows, prepared
from pofx.kinds import Tokens


def embed(
    run: str, *, data: str | None = None, split: Part = "all", out: str | None = None, trust: bool = False, **asked: Any
) -> dict[str, Any]:
    """The code of every item, one row an item.

    Args:
        run: a run folder
        data: what to embed: a name or a path; by default the run's own data. It is prepared as the run's data were
        split: which of its splits
        out: .parquet or .csv (row, label if there is one, code_0, code_1, ...), .npy or .npz; by default codes.parquet in the run folder
        trust: execute the model file that the run carries
        asked: further arguments of the model's `encode`, and how the data are read
    """
    import numpy as np

    from pofx.data.blocks import blocks
    from pofx.model import device_of, evaluating
    from pofx.run import Run

    found = Run(run)
    model = found.model(trust=trust)
    encoder = require(model, Encodes)
    _, own, loading = sort("embed", asked, embed_flags(run, trust))
    file = destination(out or found.path / "codes.parquet", (*TABLES, *ARRAYS))
    loaded = prepared(found, model, data, loading)
    rows = Rows(loaded, split)
    written: dict[str, list[str]] = {}
    if isinstance(model.inputs["x"], Tokens):
        decode = found.tokenizer("x").decode
        written = {"text": [decode(x) for _, batch in blocks(rows, np.arange(len(rows)), device_of(model)) for x in batch["x"].tolist()]}
    with evaluating(model):
        codes = as_array(
            [encoder.encode(batch["x"], **own).flatten(1) for _, batch in blocks(rows, np.arange(len(rows)), device_of(model))]
        )
    if file.suffix.lower() in TABLES:
        write_table(file, {**rows.about(), **written, **{f"code_{i}": codes[:, i] for i in range(codes.shape[1])}})
    else:
        write_arrays(file, {"code": codes, **{name: np.array(column) for name, column in (rows.about() | written).items()}}, "code")
    return {"run": str(found.path), "data": loaded.record["spec"], "items": len(codes), "dimensions": codes.shape[1], "out": str(file)}


embed_flags = asking_flags(embed, Encodes)
