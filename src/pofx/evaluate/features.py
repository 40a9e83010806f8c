"""What samples are compared by: features of x, from pixels, from a trained network, or from one that is trained for the data at hand.

Distances of raw pixels say little about pictures, so samples are compared by what a network sees in them. A number then belongs to
that network, so features carry a name with its hash.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from pofx.capabilities import Classifies, Encodes, can, require
from pofx.data.blocks import BLOCK, blocks
from pofx.environment import cache_root
from pofx.errors import UserError
from pofx.evaluate.protocol import weights_hash
from pofx.kinds import Kind
from pofx.metrics.modes import stacked_classes
from pofx.model import Model, device_of

if TYPE_CHECKING:
    from pofx.data import Data
    from pofx.train.loop import Report

SIZE = 64  # features of a network that is trained because none is given
FID_FILE = "6726825d"  # what the SHA-256 of pt_inception-2015-12-05-6726825d.pth begins with, as its name says
TRAINING: dict[str, Any] = {"steps": 2000, "lr": 2e-3, "warmup": 0.02, "schedule": "cosine", "ema": 0.99}  # of a classifier


@dataclass(frozen=True)
class Features:
    """A fixed map from x (B, *shape) to d features, float64 (B, d).

    Args:
        name: "pixels", or "<model>@<first 8 digits of the hash of its weights>"
        x: the kind of data that it takes
        function: a block of x, on `device`, to its features (B, d)
        sha256: of the network's weights; None where there is no network
        classify: a block of x, on `device`, to its classes, int64 (B,); None where there is no classifier
        classes: how many classes it tells
        names: of the classes, where they have some
        device: where it computes
        measure: what the Frechet distance of these features is called
    """

    name: str
    x: Kind
    function: Callable[[Tensor], Tensor]
    sha256: str | None = None
    classify: Callable[[Tensor], Tensor] | None = None
    classes: int = 0
    names: tuple[str, ...] = ()
    device: torch.device | str = "cpu"
    measure: str = "frechet"

    def __call__(self, x: Tensor) -> np.ndarray:
        """The features of x (B, *shape), float64 (B, d); computed 100 rows at a time.

        Raises:
            UserError: x of another shape; pictures outside [0, 1], or numbers that are not finite: the first such row is named
        """
        if tuple(x.shape[1:]) != self.x.shape:
            raise UserError(f"features {self.name} are of {self.x}, shape {self.x.shape}, not of x of shape {tuple(x.shape[1:])}")
        self._check(x)
        with torch.no_grad():
            found = [self.function(block.to(self.device)).flatten(1).double().cpu() for block in x.split(BLOCK)]
        return torch.cat(found).numpy()

    def of(self, split: Any, rows: np.ndarray) -> np.ndarray:
        """The features of these rows of a split, float64 (n, d)."""
        return np.concatenate([self(batch["x"]) for _, batch in blocks(split, rows, torch.device(self.device))])

    def classes_of(self, x: Tensor) -> np.ndarray:
        """What the classifier takes each x (B, *shape) for, int64 (B,)."""
        if self.classify is None:
            raise UserError(f"features {self.name} are of no classifier: use those of a run of convnet")
        with torch.no_grad():
            return torch.cat([self.classify(block.to(self.device)).cpu() for block in x.split(BLOCK)]).numpy()

    def tells(self, label: Kind) -> bool:
        """Whether its classes are these labels: as many, of the same names where both have names."""
        return self.classes == label.classes and (not self.names or not label.names or self.names == label.names)

    def _check(self, x: Tensor) -> None:
        rows = x.flatten(1)
        if not (finite := rows.isfinite().all(1)).all():
            raise UserError(f"x number {int((~finite).nonzero()[0])} is not finite, so it has no features")
        if _of_levels(self.x) and not (inside := ((rows >= 0) & (rows <= 1)).all(1)).all():
            bad = int((~inside).nonzero()[0])
            low, high = rows[bad].min(), rows[bad].max()
            raise UserError(f"picture number {bad} has values from {low:.3g} to {high:.3g}, but pictures lie in [0, 1]: scale them first")

    def record(self) -> dict[str, Any]:
        """What a protocol says of them."""
        return {"name": self.name, **({} if self.sha256 is None else {"sha256": self.sha256})}


def pixels(x: Kind) -> Features:
    """x itself, flattened: for vectors and for tiny pictures.

    Example:
        >>> from pofx.kinds import Image
        >>> pixels(Image(1, 2, 2))(torch.full((3, 1, 2, 2), 0.5)).shape
        (3, 4)
    """
    return Features("pixels", x, lambda block: block.flatten(1))


def network(model: Model) -> Features:
    """The codes of any model that encodes; its classes, too, if it classifies.

    Example:
        >>> from pofx.kinds import Image
        >>> from pofx.models.autoencoders.pca import PCA
        >>> network(PCA(Image(1, 2, 2), latent=3))(torch.zeros(5, 1, 2, 2)).shape
        (5, 3)
    """
    encoder = require(model, Encodes)
    model.eval()
    sha256, label = weights_hash(model), model.inputs.get("label")
    found = Features(f"{model.title()}@{sha256[:8]}", model.inputs["x"], encoder.encode, sha256, device=device_of(model))
    if not can(model, Classifies) or label is None or not label.classes:
        return found
    logits = model.classify
    return replace(found, classify=lambda block: logits(block).argmax(1), classes=label.classes, names=label.names)


def inception(file: str | Path, x: Kind) -> Features:
    """The features of the Inception network with the weights in `file`, for pictures of one or three channels.

    Their Frechet distance is called FID only if the file is the very one that pytorch-fid uses, by its SHA-256; "frechet" otherwise.

    Args:
        file: the weights, as pt_inception-2015-12-05-6726825d.pth holds them
        x: the kind of pictures

    Raises:
        UserError: x is no such picture; the file is not of that network
    """
    if not x.picture or len(x.shape) != 3:
        raise UserError(f"the Inception network sees pictures of one or three channels, not x: {x}: use --features of a run")
    from pofx.layers.inception import load_inception

    net = load_inception(Path(file))
    sha256 = weights_hash(net)
    measure = "FID" if hashlib.sha256(Path(file).read_bytes()).hexdigest().startswith(FID_FILE) else "frechet"

    def function(block: Tensor) -> Tensor:
        return torch.cat([net(part) for part in block.split(10)])  # a picture of 299x299 takes much memory

    return Features(f"inception@{sha256[:8]}", x, function, sha256, measure=measure)


def by_channel(single: Features, channels: int) -> Features:
    """The features of each channel of a picture side by side, (B, channels * d), and the class that the channels' classes spell.

    For grey pictures that were stacked (`pofx.data.load(..., stacked=3)`), by a network that knows one.
    """
    if not single.x.picture or len(single.x.shape) != 3:
        raise UserError(f"features {single.name} are of {single.x}, which cannot be a channel of a picture")
    classify = single.classify

    def apart(block: Tensor) -> Tensor:
        return block.flatten(0, 1)[:, None]

    def spelled(block: Tensor) -> Tensor:
        assert classify is not None
        return torch.from_numpy(stacked_classes(classify(apart(block)).view(-1, channels), single.classes))

    return replace(
        single,
        x=single.x.stacked(channels),
        function=lambda block: single.function(apart(block)).view(len(block), -1),
        classify=None if classify is None else spelled,
        classes=single.classes**channels,
        names=(),
    )


def chosen(data: Data, spec: str | None = None, *, trust: bool = False, report: Report | None = None) -> Features:
    """The features that `spec` names, for the x of `data`.

    Args:
        data: as `pofx.data.load` gives it
        spec: "pixels"; a run folder of a model that encodes; a .pth file with the weights of Inception; None: x itself where it has 64
            numbers or less, else `own_network`
        trust: execute the model file that the run carries
        report: called with rows of metrics if a network is trained now

    Raises:
        UserError: no such run; its model does not encode, or was made for another kind of x
    """
    x = data.fields["x"]
    if spec is None:
        return pixels(x) if x.size <= SIZE and not _classifiable(data) else own_network(data, report=report)
    if spec == "pixels":
        return pixels(x)
    if Path(spec).is_file() and Path(spec).suffix in (".pth", ".pt"):
        return inception(spec, x)
    if not (Path(spec) / "config.json").is_file():
        raise UserError(f"--features {spec}: no such run folder; use pixels, or a run of a model that encodes, such as convnet")
    from pofx.run import Run

    found = network(Run(spec).model(trust=trust))
    if (channels := data.record.get("stacked")) and found.x.shape == (1, *x.shape[1:]):
        found = by_channel(found, channels)
    if x.accepts(found.x):  # how many levels a picture has does not matter: they lie in [0, 1]
        raise UserError(f"--features {spec} are of x: {found.x}, but the data has x: {x}")
    return found


def known_size(data: Data, spec: str | None) -> int | None:
    """How many features `chosen` will give, where that can be told before a network is read or trained."""
    x = data.fields["x"]
    if spec == "pixels" or (spec is None and x.size <= SIZE and not _classifiable(data)):
        return x.size
    return SIZE * (data.record.get("stacked") or 1) if spec is None else None


def own_network(data: Data, *, report: Report | None = None) -> Features:
    """Features of a model that is trained for the data, always in the same way: 2,000 steps of a small classifier (`convnet`) where there
    are pictures with labels, else 64 principal components (`pca`).

    Pictures that are stacked are seen by channel (`by_channel`), and where few rows are labelled, the network learns all labels: it is to
    measure with, and is none of the models. It is trained at the first call, on the training split from seed 0, and kept under $POFX_CACHE
    (by default ~/.cache/pofx) in features/; on the CPU, so that it is the same wherever a model was trained. It is kept as a run folder
    that is named by a hash of the data and of how it was trained.
    """
    from pofx.data import reload
    from pofx.models.autoencoders.pca import PCA
    from pofx.models.classifiers.convnet import ConvNet
    from pofx.run import Run, explained, seeded
    from pofx.train import Training, train

    if "train" not in data.splits:
        raise UserError("there is no training split to learn features from: pass --features pixels, or a run of a model that encodes")
    if (channels := data.record.get("stacked")) or data.record.get("labelled"):
        whole = reload({**data.record, "stacked": None, "labelled": None})
        return by_channel(own_network(whole, report=report), channels) if channels else own_network(whole, report=report)
    build: Callable[[], Model]
    if _classifiable(data):
        kinds, training = [data.fields["x"], data.fields["label"]], TRAINING
        build = partial(ConvNet, *kinds, features=SIZE)  # type: ignore[arg-type]  # of the kinds that it takes
    else:
        kinds, training = [data.fields["x"]], {"batch_size": 1000}
        build = partial(PCA, *kinds, latent=SIZE)  # type: ignore[arg-type]
    about = [{name: value for name, value in data.record.items() if name != "spec"}, [kind.to_json() for kind in kinds], SIZE, training]
    key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
    folder = cache_root() / "features" / f"{Path(str(data.record['spec'])).stem}-{key}"
    with explained(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = (folder.parent / f".{folder.name}.lock").open("w")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # whoever comes second finds it trained
        if (folder / "state").is_dir() or not (folder / "model.safetensors").is_file():  # none yet, or one whose training was killed
            shutil.rmtree(folder, ignore_errors=True)
            with seeded(0):
                model = build()
            train(model, data, Training(**training, device="cpu"), folder, report=report)
            shutil.rmtree(folder / "state")
    return network(Run(folder).model())


def _classifiable(data: Data) -> bool:
    x = data.fields["x"]
    label = data.fields.get("label")
    return _of_levels(x) and len(x.shape) == 3 and label is not None and label.classes > 0


def _of_levels(x: Kind) -> bool:
    """Whether its numbers are levels from 0 to 1: those of pictures, and bits."""
    return x.levels > 0 and x.dtype == "float32"
