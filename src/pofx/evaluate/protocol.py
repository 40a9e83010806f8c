"""A score and how it was made: the record that travels with every number, so that two numbers are compared only if they may be."""

from __future__ import annotations

import hashlib
import math
import platform
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
import torch
from torch import nn

import pofx
from pofx import renamed
from pofx.errors import UserError, nearest
from pofx.model import device_of

# What is recorded but does not by itself make two scores incomparable: which weights of a run were used, where it was computed, how the
# user named the data (the hash of its source says whether it is the same), whether a density of integer pixels is a dequantised one (it
# is a bound on the integers' probability either way), how few rows of the training split were labelled (all others are), what the
# protocol itself chose for each model on its validation rows, and with which of its own options a model drew the samples that are measured.
RECORDED_ONLY = (
    *("weights", "pofx", "torch", "numpy", "threads", "machine", "data.spec", "data.labelled", "data.fields.x_labelled"),
    *("options.memory", "dequantised", "chosen", "sampling"),
)


@dataclass(frozen=True)
class Score:
    """One number with its unit, its uncertainty and its protocol.

    Args:
        what: what was measured, in words that say exact or bound: "log p", "log p, importance-weighted bound, 5000 samples"
        value: the number
        unit: of the value, such as "nats per example"
        standard_error: of the value as an estimate of its mean over the data, or None where there is none
        protocol: how it was made, in plain JSON: data and its hash, split, rows, seed, options, density, weights, versions
        note: one line about what the number shows, where it should worry someone

    Example:
        >>> print(Score("log p", -86.764, "nats per example", 0.21, {"split": "test"}))
        log p: -86.76 ± 0.21 nats per example
    """

    what: str
    value: float
    unit: str
    standard_error: float | None = None
    protocol: dict[str, Any] = field(default_factory=dict)
    note: str | None = None

    def __str__(self) -> str:
        if self.standard_error is None:
            return f"{self.what}: {self.value:.6g} {self.unit}"
        digits = 2 if self.standard_error <= 0 else max(0, 1 - math.floor(math.log10(self.standard_error)))
        return f"{self.what}: {self.value:.{digits}f} ± {self.standard_error:.{digits}f} {self.unit}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(record: dict[str, Any]) -> Score:
        """The score that `to_json` wrote; a UserError names an unknown or missing key.

        Example:
            >>> score = Score("error rate", 0.015, "share of examples")
            >>> Score.from_json(score.to_json()) == score
            True
        """
        known = [f.name for f in fields(Score)]
        for key in record:
            if key not in known:
                raise UserError(f"unknown key {key!r} in a score: {nearest(key, known)}")
        if missing := [key for key in known if key not in record and key != "note"]:
            raise UserError(f"a score lacks {', '.join(missing)}")
        protocol = record["protocol"]
        if isinstance(protocol.get("data"), dict):
            protocol = protocol | {"data": renamed.data(protocol["data"])}
        return Score(**record | {"protocol": protocol})


def mean_score(what: str, values: np.ndarray, unit: str, protocol: dict[str, Any]) -> Score:
    """The mean of one value per example, with its standard error (sample standard deviation / sqrt(n)).

    Example:
        >>> mean_score("error rate", np.array([0.0, 1.0, 0.0, 1.0]), "share of examples", {}).value
        0.5
    """
    return Score(what, float(values.mean()), unit, float(values.std(ddof=1) / math.sqrt(len(values))), protocol)


def differences(first: dict[str, Any], second: dict[str, Any], *, strict: bool = False) -> list[str]:
    """What makes two scores of the same `what` incomparable, in words; empty when nothing does.

    Args:
        first: a protocol
        second: another
        strict: name also what is recorded only (weights, versions, threads, machine)

    Example:
        >>> differences({"split": "test", "data": {"binarize": "dynamic"}}, {"split": "valid", "data": {"binarize": "none"}})
        ['data.binarize: dynamic and none', 'split: test and valid']
    """
    a, b = _flat(first), _flat(second)
    return [
        f"{key}: {a.get(key, 'not stated')} and {b.get(key, 'not stated')}"
        for key in sorted(a.keys() | b.keys())
        if a.get(key) != b.get(key) and (strict or not any(key == name or key.startswith(name + ".") for name in RECORDED_ONLY))
    ]


def _flat(protocol: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in protocol.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = list(value) if isinstance(value, tuple) else value  # as JSON gives it back
    return flat


def require_comparable(scores: dict[str, Score]) -> None:
    """Raise a UserError that names what differs unless every score was made by the protocol of the first.

    Args:
        scores: a name for each, such as its run's; all of the same `what`

    Example:
        >>> a, b = (Score("log p", -1.0, "nats per example", None, {"rows": rows}) for rows in (10, 20))
        >>> require_comparable({"a": a, "b": b})
        Traceback (most recent call last):
        pofx.errors.UserError: a and b cannot be compared by log p: rows: 10 and 20
    """
    (one, first), *others = scores.items()
    for other, score in others:
        if score.what != first.what:
            raise UserError(f"{one} and {other} cannot be compared: one is {first.what}, the other {score.what}")
        if problems := differences(first.protocol, score.protocol):
            raise UserError(f"{one} and {other} cannot be compared by {first.what}: {'; '.join(problems)}")


def environment(model: nn.Module) -> dict[str, Any]:
    """Versions, thread count and kind of machine: what a number may depend on in its last digits."""
    device = device_of(model)
    machine = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{platform.machine()} {device.type}"
    return {
        "pofx": pofx.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "threads": torch.get_num_threads(),
        "machine": machine,
    }


def weights_hash(model: nn.Module) -> str:
    """SHA-256 over the names, types, shapes and bytes of the model's parameters and buffers, on whichever device they are."""
    digest = hashlib.sha256()
    for name, tensor in sorted((renamed.stored_tensor(name, type(model)), tensor) for name, tensor in model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


__getattr__ = renamed.stayed(__name__)  # names that are elsewhere now
