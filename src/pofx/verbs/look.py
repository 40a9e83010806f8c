"""Looking before learning: the models there are, and what is in a data set."""

from __future__ import annotations

from typing import Any

from pofx.kinds import Size
from pofx.verbs.flags import Flags, data_flags, sort, together


def models() -> dict[str, Any]:
    """List every model: what it can be asked, its density, the data it takes, its paper."""
    from pofx.models import files, find

    rows = []
    for name in files():
        cls = find(name)
        authors, year, reference = cls.paper
        kind_of_p = {"exact": "explicit, exact", "bound": "explicit, bounded"}.get(cls.density or "")
        can = cls.capabilities()
        rows.append(
            {
                "name": name,
                "family": cls.family(),
                "capabilities": list(can),
                "density": cls.density,
                "p(x)": kind_of_p or ("implicit" if "samples" in can else "none"),
                "data": {field: [kind.__name__ for kind in kinds] for field, (kinds, _) in cls.needs().items()},
                "required": [field for field, (_, required) in cls.needs().items() if required],
                "paper": {"authors": authors, "year": year, "reference": reference},
            }
        )
    return {"models": rows}


def look_flags(spec: str) -> list[Flags]:
    """All flags of `pofx data`."""
    return together(Flags.of("flags", data), data_flags())


def data(spec: str, *, out: str | None = None, n: Size = 64, **options: Any) -> dict[str, Any]:
    """Look at a data set: fields, counts, labels, problems by file name, a picture grid.

    Args:
        spec: a name (digits, mnist, ...) or a path to a folder of pictures, idx files, .npy, .npz, .csv, .parquet
        out: a .png to write a grid of the first training rows to
        n: how many of them
        options: how the data are read, as in `pofx.data.load`
    """
    import numpy as np
    import torch

    from pofx.data import load
    from pofx.kinds import Category
    from pofx.verbs.files import destination, write_picture

    _, loading = sort("data", options, look_flags(spec))
    file = destination(out, (".png",)) if out else None
    found = load(spec, **loading)
    labels = {}
    for name, kind in found.fields.items():
        if isinstance(kind, Category):
            every = [split.columns[name].read(torch.arange(len(split))) for split in found.splits.values()]
            counts = torch.bincount(torch.cat(every), minlength=kind.classes).tolist()
            labels[name] = dict(zip(kind.names or map(str, range(kind.classes)), counts, strict=True))
    report: dict[str, Any] = {
        "spec": found.record["spec"],
        "fields": {name: str(kind) for name, kind in found.fields.items()},
        "counts": {name: len(split) for name, split in found.splits.items()},
        "rows of each label": labels,
        "problems": found.problems,
        "sha256": found.record["sha256"],
    }
    if not labels:
        del report["rows of each label"]
    if file is not None:
        from pofx.pictures import grid

        split = found.splits["train"]
        x = split.read(np.arange(min(n, len(split))))["x"]
        write_picture(file, grid(x.numpy(), found.fields["x"]))
        report["picture"] = str(file)
    return report
