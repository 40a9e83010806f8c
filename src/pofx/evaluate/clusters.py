"""How well the groups that a model found without labels agree with labels, and how much a generator's x tell of its codes.

Shapes: B examples, K clusters.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import torch

from pofx import renamed
from pofx.capabilities import BoundsInformation, Clusters, Generates, HasMemberships, can, require
from pofx.data.blocks import BLOCK, blocks, chosen_rows, rows_record
from pofx.errors import UserError, nearest
from pofx.evaluate.protocol import Score, environment, mean_score
from pofx.evaluate.registry import measure
from pofx.evaluate.request import MOST, Request
from pofx.metrics.clustering import majority, matched
from pofx.model import Model, device_of, evaluating
from pofx.randomness import generator

Rule = Literal["matched", "majority", "exemplar"]
RULES: dict[str, str] = {
    "matched": "one cluster a label, matched on the same rows",
    "majority": "a cluster takes the label that most of its rows have in another split",
    "exemplar": "a cluster takes the label of its most certain row in another split",
}


def clustering_accuracy(
    model: Model,
    data: Any,
    *,
    split: str = "test",
    by: Rule | None = None,
    learned_on: str = "valid",
    field: str = "label",
    rows: int | np.ndarray | None = None,
    about: dict[str, Any] | None = None,
) -> Score:
    """The share of examples whose cluster stands for their label.

    Which label a cluster stands for is a rule: `matched` gives each label to one cluster so that most of the very rows that are
    measured agree, as is usual where clusters are no more than labels; `majority` and `exemplar` learn it from all rows of another split,
    as is usual where they are more. `exemplar`, which takes the label of the one row that is most certainly the cluster's, is for a model
    that has `memberships(x)`, the probabilities of the clusters (B, K).

    Args:
        model: any model that clusters
        data: a data set with labels
        split: which of its splits
        by: the rule; None: matched where clusters are no more than labels, else majority
        learned_on: the split that majority and exemplar learn from
        field: the data's field that holds the labels
        rows: so many rows of `split` from the first, or the rows' numbers; by default all
        about: what the caller knows of the data and the weights, stored in the protocol

    Raises:
        UserError: no labels, no such split, or a rule that the model cannot follow

    References:
        exemplar: Adversarial Autoencoders (Makhzani et al., 2015), arXiv 1511.05644, section 6
    """
    clusterer = require(model, Clusters)
    kind = data.fields.get(field)
    if kind is None or not kind.classes:
        names = [name for name, other in data.fields.items() if other.classes]
        raise UserError(f"the data has no labels in a field {field!r}: " + (nearest(field, names) if names else "they have none at all"))
    by = by or ("matched" if clusterer.clusters <= kind.classes else "majority")
    for name in (split, learned_on) if by != "matched" else (split,):
        if name not in data.splits:
            raise UserError(f"the data has no split {name!r}: {nearest(name, data.splits)}")
    if by == "exemplar" and not can(model, HasMemberships):
        raise UserError(f"{model.title()} does not say how sure it is of a cluster, as exemplar needs: use majority")
    chosen = chosen_rows(data.splits[split], rows)
    clusters, labels, _ = _clustered(model, data.splits[split], chosen, field)
    if by == "matched":
        stands_for = matched(clusters, labels)
    else:
        known = data.splits[learned_on]
        learned, known_labels, doubt = _clustered(model, known, np.arange(len(known)), field, doubtful=by == "exemplar")
        stands_for = known_labels[doubt.argmin(0)] if by == "exemplar" else majority(learned, known_labels)
        stands_for = np.append(stands_for, np.full(clusterer.clusters - len(stands_for), -1))
    protocol = {
        **(about or {}),
        "split": split,
        **rows_record(chosen),
        "labels": field,
        "clusters": clusterer.clusters,
        "rule": RULES[by] + (f": {learned_on}" if by != "matched" else ""),
        **environment(model),
    }
    return mean_score("clustering accuracy", (stands_for[clusters] == labels).astype(np.float64), "share of examples", protocol)


@measure(
    "clustering accuracy",
    needs=(Clusters,),
    fields=("label",),
    when=lambda request: bool(request.model.clusters),  # one whose codes are numbers only has none
    place=600,
)
def cluster_scores(request: Request) -> Iterator[Score]:
    """How well groups agree with labels."""
    yield clustering_accuracy(request.model, request.data, split=request.split, rows=request.rows, about=request.about)


def _clustered(
    model: Model, split: Any, rows: np.ndarray, field: str, *, doubtful: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cluster and label of each row, and, if asked for, the probability that it is of any other cluster than each, (B, K).

    That is the sum of the others' probabilities: near 1 - p = 0 it still tells rows apart, where many p are rounded to the same 1.
    """
    clusterer = require(model, Clusters)
    split.require_paired("x", field)
    clusters, labels, doubt = list[torch.Tensor](), list[torch.Tensor](), [torch.zeros(0, clusterer.clusters)]
    others_KK = 1 - torch.eye(clusterer.clusters)
    with evaluating(model):
        for _, batch in blocks(split, rows, device_of(model)):
            clusters.append(clusterer.cluster(batch["x"]).cpu())
            labels.append(batch[field].cpu())
            if doubtful:
                doubt.append(require(model, HasMemberships).memberships(batch["x"]).float().cpu() @ others_KK)
    return torch.cat(clusters).numpy(), torch.cat(labels).numpy(), torch.cat(doubt).numpy()


def information(model: Model, *, n: int = 10_000, seed: int = 0, about: dict[str, Any] | None = None) -> dict[str, Score]:
    """The bound L_I on how much of each code can be told from what is generated of it, over `n` fresh draws: code -> score.

    Args:
        model: any model that generates and has `information(z)`: log Q(c | G(z)) + H(c) of each code, in nats, name -> (B,)
        n: draws, 2 or more; drawn and scored in blocks, so that no batch size matters
        seed: of the draws
        about: what the caller knows of the weights, stored in the protocol

    References:
        InfoGAN (Chen et al., 2016), arXiv 1606.03657, equation 5
    """
    prior = require(model, Generates).prior
    if not can(model, BoundsInformation):
        raise UserError(f"{model.title()} does not tell its codes from x: it has no method information(z)")
    if n < 2:
        raise UserError(f"n must be 2 or more, not {n}")
    like, source = next(model.parameters()), generator(("information", seed), device_of(model))
    found: dict[str, list[torch.Tensor]] = {}
    with evaluating(model):
        for start in range(0, n, BLOCK):
            for name, L_B in model.information(prior.sample(min(BLOCK, n - start), like, source)).items():
                found.setdefault(name, []).append(L_B.double().cpu())
    protocol = {**(about or {}), "draws": n, "seed": seed, **environment(model)}
    return {name: mean_score(f"L_I of {name}", torch.cat(parts).numpy(), "nats", protocol) for name, parts in found.items()}


@measure("what is told of codes", needs=(BoundsInformation,), when=lambda request: request.drawing, place=800)
def information_scores(request: Request) -> list[Score]:
    """The bound on how much of each code can be told from what is generated of it."""
    return list(information(request.model, n=request.draws or MOST, seed=request.seed, about=request.about).values())


__getattr__ = renamed.stayed(__name__)  # names that are elsewhere now
