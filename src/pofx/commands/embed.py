"""`pofx embed`: the code of every item."""

from __future__ import annotations

from typing import Any

from pofx.capabilities import Encodes, require
from pofx.commands.files import ARRAYS, TABLES, destination
from pofx.commands.flags import split_options
from pofx.commands.verb import verb
from pofx.session import Arrays, Part, Result, Session, Table


@verb(Encodes, data=True)
def embed(
    run: str | Session, *, data: str | None = None, split: Part = "all", out: str | None = None, trust: bool = False, **asked: Any
) -> Result:
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
    import torch

    from pofx.data.blocks import blocks
    from pofx.model import device_of, evaluating

    session = Session.load(run, trust=trust)
    encoder = require(session.model, Encodes)
    _, own, loading = split_options("embed", asked, embed.known(run, trust))
    file = destination(out or session.run.path / "codes.parquet", (*TABLES, *ARRAYS))
    rows = session.read_rows(data, loading, split=split)
    ids, found = rows.ids(), list[Any]()
    if session.kind.printed:
        ids["text"] = []
    with evaluating(session.model):
        for _, batch in blocks(rows, np.arange(len(rows)), device_of(session.model)):
            found.append(encoder.encode(batch["x"], **own).flatten(1))
            if session.kind.printed:
                ids["text"] += session.texts(batch["x"].cpu())
    codes = torch.cat(found).float().cpu().numpy()
    if file.suffix.lower() in TABLES:
        artefact: Table | Arrays = Table({**ids, **{f"code_{i}": codes[:, i] for i in range(codes.shape[1])}})
    else:
        artefact = Arrays({"code": codes, **{name: np.array(column) for name, column in ids.items()}}, "code")
    report = {"run": str(session.run.path), "data": rows.spec, "items": len(codes), "dimensions": codes.shape[1], "out": str(file)}
    return Result(report, {"code": codes}, ids, {file: artefact})
