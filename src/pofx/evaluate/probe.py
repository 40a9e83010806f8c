"""What a linear classifier makes of a model's codes when few examples have labels: how much of the label lies open in them.

Shapes: n labelled rows, d numbers in a code, K classes, S strengths of the regularisation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pofx.capabilities import Encodes, require
from pofx.data.blocks import blocks, chosen_rows, rows_record
from pofx.errors import UserError, nearest
from pofx.evaluate.protocol import Score, environment, mean_score
from pofx.evaluate.registry import measure
from pofx.evaluate.request import Request
from pofx.model import Model, device_of, evaluating
from pofx.options import Seed, Size

COSTS = tuple(10.0**k for k in range(-3, 4))  # C, what a margin that is fallen short of costs


def linear_probe(
    model: Model,
    data: Any,
    *,
    labels: Size = 1000,
    split: str = "test",
    seed: Seed = 0,
    rows: int | None = None,
    about: dict[str, Any] | None = None,
) -> Score:
    """The accuracy of a linear L2-SVM on the codes of `labels` rows of the training split, as many of each class.

    The mean of the labelled rows' codes is taken away, and all is divided by one number, the root of their mean squared norm, so that
    what C means does not depend on the model. C is the one of 0.001, 0.01, ... 1000 that is best on the validation split, the smallest of
    equals. No label reaches the model itself.

    Args:
        model: any model that encodes
        data: a data set with a field `label`, as `pofx.data.load` gives it
        labels: how many rows have labels; their number is divided among the classes evenly
        split: whose rows are classified
        seed: of the draw of the labelled rows
        rows: of `split`, so many from the first; by default all
        about: what the caller knows of the data and the weights, stored in the protocol

    Returns:
        the share of rows that are classified right, from 0 to 1, with its standard error

    Raises:
        UserError: a model that does not encode; data without labels; labels that cannot be divided evenly; too few rows of a class; rows
            to be classified whose labels are not known

    References:
        Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks (Radford, Metz & Chintala, 2015),
        arXiv 1511.06434, section 5
        LIBLINEAR: A Library for Large Linear Classification (Fan, Chang, Hsieh, Wang & Lin, 2008), JMLR 9
    """
    encoder = require(model, Encodes)
    with evaluating(model):
        return _probe(
            encoder.encode,
            f"{labels} labels on codes",
            data,
            labels,
            split,
            seed,
            rows,
            {**(about or {}), **environment(model)},
            device_of(model),
        )


def raw_probe(
    data: Any, *, labels: Size = 1000, split: str = "test", seed: Seed = 0, rows: int | None = None, about: dict[str, Any] | None = None
) -> Score:
    """The same of x itself: what codes are worth shows beside it. Arguments as in `linear_probe`."""
    return _probe(lambda x: x, f"{labels} labels on x itself", data, labels, split, seed, rows, about or {}, torch.device("cpu"))


def _probe(
    code: Callable[[Tensor], Tensor],
    what: str,
    data: Any,
    labels: int,
    split: str,
    seed: int,
    rows: int | None,
    about: dict[str, Any],
    device: torch.device,
) -> Score:
    from sklearn.svm import LinearSVC  # takes a while to import

    x, drawn = labelled_x(data, labels, split, seed)
    scored_rows = chosen_rows(data.splits[split], rows)

    def codes(x: Tensor) -> np.ndarray:
        return code(x).flatten(1).double().cpu().numpy()

    train = [(codes(batch[x]), batch["label"].cpu().numpy()) for _, batch in blocks(data.splits["train"], drawn, device)]
    z_nd, y_n = (np.concatenate(parts) for parts in zip(*train, strict=True))
    mean_d = z_nd.mean(0)
    scale = float(np.sqrt(((z_nd - mean_d) ** 2).sum(1).mean())) or 1.0
    machines = [LinearSVC(C=C, random_state=0).fit((z_nd - mean_d) / scale, y_n) for C in COSTS]

    def right(part: str, chosen: np.ndarray, machines: list[Any]) -> np.ndarray:
        """Which rows each machine tells right, bool (S, rows)."""
        found = []
        for _, batch in blocks(data.splits[part], chosen, device):
            z_Bd, y_B = (codes(batch["x"]) - mean_d) / scale, batch["label"].cpu().numpy()
            found.append([machine.predict(z_Bd) == y_B for machine in machines])
        return np.concatenate(found, axis=1)

    on_valid_S = right("valid", chosen_rows(data.splits["valid"], None), machines).mean(1)
    best = int(on_valid_S.argmax())
    protocol = {
        **about,
        "split": split,
        **rows_record(scored_rows),
        "classifier": "linear L2-SVM, squared hinge loss, one against the rest",
        "codes": "centred, divided by the root of their mean squared norm",
        "labels": labels,
        "seed": seed,
        "labelled_rows_sha256": hashlib.sha256(drawn.astype("<i8").tobytes()).hexdigest(),
        "C": COSTS[best],
        "C_chosen_by": f"accuracy on the validation split, {on_valid_S[best]:.4f}",
        "dimensions": z_nd.shape[1],
    }
    return mean_score(
        f"linear probe accuracy, {what}", right(split, scored_rows, [machines[best]])[0].astype(np.float64), "share of examples", protocol
    )


def _check(request: Request, *, probe: int | None = None) -> None:
    if probe is not None:
        labelled_x(request.data, probe, request.split, request.seed)


@measure("linear probe", needs=(Encodes,), check=_check, place=700)
def probe_scores(request: Request, *, probe: Size | None = None) -> Iterator[Score]:
    """The accuracy of a linear classifier of the codes, where it is asked for.

    Args:
        probe: also the accuracy of a linear classifier of the codes that is given the labels of so many rows of the training split
    """
    if probe is not None:
        yield linear_probe(
            request.model, request.data, labels=probe, split=request.split, seed=request.seed, rows=request.rows, about=request.about
        )


def labelled_x(data: Any, labels: int, split: str, seed: int) -> tuple[str, np.ndarray]:
    """The field of the training split that its labels are of, and which of its rows are drawn; an error if `split` cannot be scored."""
    if split not in data.splits:
        raise UserError(f"the data has no split {split!r}: {nearest(split, data.splits)}")
    if missing := [part for part in ("train", "valid") if part not in data.splits]:
        raise UserError(f"a linear probe learns on train and valid, but the data has no split {missing[0]!r}: remove --probe")
    drawn = labelled_rows(data, labels, seed)
    x = "x_labelled" if "x_labelled" in data.splits["train"].columns else "x"  # where few rows are labelled, x are others
    data.splits["train"].require_paired(x, "label")
    for part in ("valid", split):
        data.splits[part].require_paired("x", "label")
    return x, drawn


def labelled_rows(data: Any, labels: int, seed: int = 0) -> np.ndarray:
    """Rows of the training split, `labels` of them, as many of each class, drawn by `seed`: int64 (n,), in ascending order.

    Raises:
        UserError: data without labels; labels that cannot be divided evenly; too few rows of a class
    """
    kind = data.fields.get("label")
    if kind is None or not kind.classes:
        raise UserError(f"a linear probe needs labels, but the data has {', '.join(f'{n}: {k}' for n, k in data.fields.items())}")
    each, rest = divmod(labels, kind.classes)
    if rest or not each:
        raise UserError(f"labels are drawn evenly from {kind.classes} classes: use {max(1, each) * kind.classes} labels, not {labels}")
    column = data.splits["train"].columns["label"]
    label_N = column.read(torch.arange(len(column))).numpy()
    draw, chosen = np.random.RandomState(seed % 2**32), list[np.ndarray]()  # its stream is frozen
    for k in range(kind.classes):
        rows_of_k = np.flatnonzero(label_N == k)
        if len(rows_of_k) < each:
            name = kind.names[k] if kind.names else k
            most = min(int((label_N == c).sum()) for c in range(kind.classes)) * kind.classes
            raise UserError(f"class {name} has {len(rows_of_k)} training rows, too few for {labels} labels: use {most} or fewer")
        chosen.append(draw.permutation(rows_of_k)[:each])
    return np.sort(np.concatenate(chosen))
