"""Looking before learning: the models there are, and what is in a data set."""

from __future__ import annotations

import re
from typing import Any

from pofx.kinds import Size
from pofx.verbs.flags import Flags, data_flags, sort, together

ARXIV = r"\d{4}\.\d{4,5}|[a-z-]+/\d{7}"  # new and old style
CLASSES = 50  # whose rows are listed one by one


def models() -> list[dict[str, Any]]:
    """List every model: what it can be asked, its density, the data it takes, its paper."""
    from pofx.models import files, find

    rows = []
    for name in files():
        cls = find(name)
        authors, year, reference = cls.paper
        arxiv = re.fullmatch(ARXIV, reference)
        can, implicit = cls.capabilities(), "samples" in cls.capabilities()
        rows.append(
            {
                "name": name,
                "family": cls.family(),
                "capabilities": list(can),
                "density": cls.density,
                "p(x)": {"exact": "explicit", "bound": "bounded", None: "implicit" if implicit else "none"}[cls.density],
                "data": {field: [kind.__name__ for kind in kinds] for field, (kinds, _) in cls.needs().items()},
                "required": [field for field, (_, required) in cls.needs().items() if required],
                "paper": {
                    "authors": authors,
                    "year": year,
                    "reference": reference,
                    "arxiv": arxiv[0] if arxiv else None,
                },
            }
        )
    return rows


def look_flags(spec: str | None = None) -> list[Flags]:
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
    from pofx.data import describe, load
    from pofx.verbs.files import destination, write_picture

    _, loading = sort("data", options, look_flags(spec))
    file = destination(out, (".png",)) if out else None
    found = load(spec, **loading)
    account = describe(found)
    report: dict[str, Any] = {
        "spec": found.record["spec"],
        "fields": {name: str(kind) for name, kind in found.fields.items()},
        "counts": {name: len(split) for name, split in found.splits.items()},
        "train": {name: _brief(about) for name, about in account["splits"]["train"]["fields"].items()},
        "splits": account["splits"],
        "problems": account["problems"],
        "record": account["record"],
    }
    if file is not None:
        from pofx.pictures import grid

        split = found.splits["train"]
        x = split.read(range(min(n, len(split))))["x"]
        write_picture(file, grid(x.numpy(), found.fields["x"]))
        report["picture"] = str(file)
    return report


def _brief(about: dict[str, Any]) -> dict[str, Any]:
    """Rows of each class, or of the rarest and the commonest of many; the range of numbers."""
    if "classes" not in about:
        return {name: about[name] for name in ("min", "max", "mean")}
    rows = about["classes"].values()
    return about["classes"] if len(rows) <= CLASSES else {"classes": len(rows), "fewest rows": min(rows), "most rows": max(rows)}
