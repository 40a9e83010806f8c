"""`pofx models`: the models there are."""

from __future__ import annotations

import re
from typing import Any

from pofx.capabilities import Samples, can
from pofx.commands.verb import verb
from pofx.models import ARXIV


@verb(json_only=("required", "density"))
def models() -> list[dict[str, Any]]:
    """List every model: what it can be asked, its density, the data it takes, its paper."""
    from pofx.models import files, find

    rows = []
    for name in files():
        cls = find(name)
        authors, year, reference = cls.paper
        arxiv = re.fullmatch(ARXIV, reference)
        implicit = can(cls, Samples)
        rows.append(
            {
                "name": name,
                "family": cls.family(),
                "capabilities": list(cls.capabilities()),
                "density": cls.density,
                "p(x)": {"exact": "explicit", "bound": "bounded", None: "implicit" if implicit else "none"}[cls.density],
                "data": {field: [kind.type_name() for kind in kinds] for field, (kinds, _) in cls.needs().items()},
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
