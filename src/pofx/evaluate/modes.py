"""Modes and classes that samples reach, as scores."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pofx import renamed
from pofx.capabilities import Samples
from pofx.data.sources.synthetic import KNOWN
from pofx.evaluate.protocol import Score, mean_score
from pofx.evaluate.registry import measure
from pofx.evaluate.request import Request, column
from pofx.metrics.modes import class_coverage, nearest_modes


def mode_scores(
    samples: Tensor | np.ndarray, centres: Tensor | np.ndarray, sd: float, *, within: float = 3.0, about: dict[str, Any] | None = None
) -> tuple[Score, Score]:
    """`modes_covered` as two scores. Arguments as there; `about`: what the caller knows of data and weights, stored in the protocol."""
    protocol = {**(about or {}), "samples": len(samples), "sd": sd, "high quality": f"within {within:g} sd"}
    mode_n = nearest_modes(samples, centres, sd, within=within)
    note = None if (missed := sorted(set(range(len(centres))) - set(mode_n.tolist()))) == [] else f"modes without a sample: {missed}"
    found = Score("modes", float(len(centres) - len(missed)), f"of {len(centres)}", None, protocol, note)
    return found, mean_score("samples of high quality", (mode_n >= 0).astype(np.float64), "share of samples", protocol)


def class_scores(
    classes: Tensor | np.ndarray,
    K: int,
    reference: Tensor | np.ndarray | None = None,
    *,
    features: str = "",
    about: dict[str, Any] | None = None,
) -> tuple[Score, Score]:
    """`class_coverage` as two scores, named after the `features` whose classifier found the classes.

    Arguments as there; `about` should say who classified, with the hash of its weights.
    """
    of = f"[{features}]" * bool(features)
    found, kl = class_coverage(classes, K, reference)
    compared = "all classes alike"
    if reference is not None:
        digest = hashlib.sha256(torch.as_tensor(reference).double().cpu().numpy().tobytes()).hexdigest()
        compared = f"shares of the classes, sha256 {digest}"
    protocol = {**(about or {}), "samples": len(classes), "compared with": compared}
    note = f"{len(classes)} samples of {K} classes: perfect ones would have a KL of about {(K - 1) / 2 / len(classes):.2g} nats"
    return Score(f"classes{of}", float(found), f"of {K}", None, protocol), Score(f"KL of classes{of}", kl, "nats", None, protocol, note)


@measure("classes of samples", needs=(Samples,), when=lambda request: request.has("label"), place=920)
def classes_of_samples(request: Request) -> tuple[Score, ...]:
    """Which labels samples have, as the features' classifier sees them, if it has one for these labels."""
    label, features = request.data.fields["label"], request.compared_by
    if features.classify is None or not features.tells(label):
        return ()
    labels = column(request.rows_of, np.arange(len(request.rows_of)), "label")
    share = torch.bincount(labels, minlength=label.classes).double() / len(labels)
    classes = features.classes_of(request.samples)
    reference = share if share.all() else None
    return class_scores(classes, label.classes, reference, features=features.name, about=request.of_features)


@measure("modes", needs=(Samples,), when=lambda request: str(request.data.record.get("spec")) in KNOWN, place=930)
def modes_of_samples(request: Request) -> tuple[Score, Score]:
    """Which modes samples reach, of data whose modes are known."""
    known = KNOWN[str(request.data.record["spec"])]
    return mode_scores(request.samples, np.array(known.centres), known.sd, about=request.of_samples)


__getattr__ = renamed.stayed(__name__)  # names that are elsewhere now
