"""What a model in a kept run folder says, and what its weights amount to: what is asked is the same for ever."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

DRAWN = 2  # samples that are kept


def answers(model: Any, x: Tensor) -> dict[str, Any]:
    """What the model says of x without chance; and of a bound the mean over x, with so many samples that chance is small."""
    said: dict[str, Any] = {}
    with torch.no_grad():
        if hasattr(model, "encode"):
            said["encode"] = model.encode(x).tolist()
            if hasattr(model, "decode"):
                said["decode"] = model.decode(model.encode(x)).flatten(1)[:, ::7].tolist()
        if hasattr(model, "classify"):
            said["classify"] = model.classify(x).tolist()
        if model.density == "exact":
            said["log_prob"] = model.log_prob(x).tolist()
        if model.density == "bound":
            said["bound"] = model.log_prob(x, samples=5000, generator=drawn()).mean().item()
    return said


def more_answers(model: Any, fields: dict[str, Tensor]) -> dict[str, Any]:
    """What the model says of rows of its fields, under the word that asks it; of what is drawn by chance, what one generator gives."""
    said: dict[str, Any] = {}

    def ask(name: str, question: Callable[[], Tensor]) -> None:
        with torch.no_grad():
            said[name] = rounded(question())

    x = next(iter(fields.values()))
    told = {"": {}, "given label": {"given": fields["label"]}} if conditional(model, fields) else {"": {}}
    if "source" in fields:
        told = {"": {"given": fields["source"]}}
    if hasattr(model, "encode"):
        ask("encode", lambda: model.encode(x))
        if hasattr(model, "decode"):
            ask("decode", lambda: model.decode(model.encode(x)).flatten(1)[:, ::3])
    if hasattr(model, "classify"):
        ask("classify", lambda: model.classify(x))
    if hasattr(model, "cluster"):
        ask("cluster", lambda: model.cluster(x))
    if hasattr(model, "translate"):
        ask("translate", lambda: model.translate(fields["source"]))
    if hasattr(model, "complete"):
        known = (torch.arange(x[0].numel()) < 3 * x[0].numel() // 4).view(x.shape[1:]).expand_as(x)
        ask("complete", lambda: model.complete(x, known, generator=drawn()).flatten(1))
    if hasattr(model, "generate"):
        ask("generate", lambda: model.generate(model.prior.sample(DRAWN, x, drawn())).flatten(1)[:, ::3])
    for words, given in told.items():
        some = {name: values[:DRAWN] for name, values in given.items()}
        if model.density == "exact":
            ask(f"log_prob {words}".strip(), lambda given=given: model.log_prob(x, **given))
        if hasattr(model, "sample"):
            ask(f"sample {words}".strip(), lambda some=some: model.sample(DRAWN, **some, generator=drawn()).flatten(1)[:, ::2])
    if model.density == "bound":
        ask("bound", lambda: model.log_prob(x, samples=5, generator=drawn()))
    return said


def conditional(model: Any, fields: dict[str, Tensor]) -> bool:
    """Whether the model takes a label that it can also do without."""
    return "label" in fields and not model.needs()["label"][1]


def drawn() -> torch.Generator:
    """A source of chance that is always the same."""
    return torch.Generator().manual_seed(7)


def rounded(values: Any) -> Any:
    """`values` as nested lists, of numbers with as many digits as float32 has."""
    if isinstance(values, Tensor):
        values = values.tolist()
    if isinstance(values, list):
        return [rounded(value) for value in values]
    return float(f"{values:.8g}") if isinstance(values, float) else values


def summaries(file: Path) -> dict[str, list[Any]]:
    """Of each tensor in a safetensors file, by its name there: its shape, its sum and its norm."""
    found = {}
    for name, tensor in sorted(load_file(file).items()):
        values = tensor.double()
        found[name] = [list(tensor.shape), *rounded([values.sum().item(), values.square().sum().sqrt().item()])]
    return found


def unlike(expected: dict[str, list[Any]], found: dict[str, list[Any]], rtol: float = 1e-4) -> list[str]:
    """Names of expected summaries that no tensor of `found` has. A tensor may have another name by now, where none has its old one."""
    left, missing = dict(found), []
    for name in sorted(expected, key=lambda name: name not in found):  # those that have kept their names first
        same = [other for other in ([name] if name in found else left) if other in left and alike(expected[name], left[other], rtol)]
        if same:
            del left[same[0]]
        else:
            missing.append(name)
    return missing + [f"{name} (new)" for name in left if name not in expected and len(found) > len(expected)]


def alike(one: list[Any], other: list[Any], rtol: float) -> bool:
    """Whether two summaries are equal up to rounding; a sum is as exact as the norm of what is summed allows."""
    (shape, total, norm), (shape2, total2, norm2) = one, other
    near = rtol * max(norm, norm2) + 1e-7
    return shape == shape2 and abs(norm - norm2) <= near and abs(total - total2) <= near * math.sqrt(max(1, math.prod(shape)))
