"""Exactness: p summed over all 512 binary pictures of 3x3 pixels, for every model whose density is exact and that takes them, in float32.

Models are found by what they can, not by name; each is small, trained for a few steps, and its weights are then moved at random.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from benchmarks.protocol import machine
from benchmarks.rows import Row
from pofx import models
from pofx.errors import UserError
from pofx.kinds import Binary
from pofx.testing.cases import Case, every

ERROR = "sum of p over all 3x3 binary pictures, every exact model: largest distance from 1"
ROWS = [Row(ERROR, "", ("<=", 1e-5), "0 (mathematics)")]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    pictures = Binary(1, 3, 3)
    x, errors, without = every(pictures, torch.float32), {}, []
    for name in models.files():
        cls = models.find(name)
        (first, (accepted, _)), *others = cls.needs().items()
        if cls.density != "exact" or Binary not in accepted:
            continue
        required = {field: kinds[0].small()[0] for field, (kinds, needed) in others if needed}
        optional = {field: kinds[0].small()[0] for field, (kinds, needed) in others if not needed}
        for more in (required, required | optional) if optional else (required,):
            case = Case(cls, {first: pictures, **more})
            try:
                model = case.trained(torch.float32)
            except UserError:
                without.append(f"{name} {case}")
                continue
            with torch.no_grad():
                total = model.log_prob(x).double().exp().sum().item()
            errors[f"{name} {case}"] = abs(1 - total)
    protocol = {"dtype": "float32", "pictures": len(x), "distance_from_1": errors, "without_such_pictures": without, **machine()}
    yield ERROR, torch.tensor(list(errors.values())).max().item(), protocol  # NaN stays NaN
