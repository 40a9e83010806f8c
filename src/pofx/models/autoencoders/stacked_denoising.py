"""A deep classifier whose layers are first trained one at a time, each as a denoising autoencoder of the codes below it.

Shapes: B examples, C classes; v_BD is what a layer sees and h_BH what it makes of it.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pofx.errors import UserError
from pofx.kinds import Binary, Category, Image, Vector
from pofx.layers.corruption import Corruption, Injector
from pofx.model import Model
from pofx.options import Dropout, NonNegative, Range, Size
from pofx.plan import Batch, Logged, Part, Player, Stage
from pofx.randomness import Noise


class StackedDenoisingAutoEncoder(Model):
    """Stacked denoising autoencoder: layers trained greedily without labels, then the whole stack fine-tuned with them.

    Stage k of the first ones trains layer k alone, to restore the clean code of the layers below from a corrupted one: cross-entropy for
    what lies in [0, 1] (pictures, bits, sigmoid codes), squared error for vectors. The last stage puts logistic regression on the top
    code and trains all encoders with the labels; nothing is corrupted there, unless asked.

    References:
        Stacked Denoising Autoencoders: Learning Useful Representations in a Deep Network with a Local Denoising Criterion (Vincent,
        Larochelle, Lajoie, Bengio & Manzagol, 2010), JMLR 11

    Args:
        x: pictures, bits or vectors
        label: what fine-tuning learns to tell
        hidden: units of each layer, first layer first
        corruption: what hides the code below from a layer while it is pretrained
        level: probability that a number is corrupted; for gaussian, the standard deviation
        pretrain: share of all steps that pretraining takes, the same for each layer; the rest is fine-tuning
        tune_level: corruption of x while fine-tuning
        dropout: probability that a hidden unit is dropped while fine-tuning

    Example:
        >>> model = StackedDenoisingAutoEncoder(Image(1, 8, 8), Category(10), hidden=(32, 16), pretrain=0.5)
        >>> [(stage.name, stage.until) for stage in model.stages()]
        [('layer_1', 0.25), ('layer_2', 0.5), ('tune', 1.0)]
        >>> model.classify(torch.rand(5, 1, 8, 8)).shape
        torch.Size([5, 10])
    """

    paper: ClassVar = ("Vincent et al.", 2010, "JMLR 11:3371-3408")
    small: ClassVar = {"hidden": (7, 5), "dropout": 0.2, "tune_level": 0.1}
    without: ClassVar = {
        "decode": "fine-tuning moves the encoders away from the decoders they were trained with: train denoising_autoencoder",
        "sample": "it learns codes and labels, not a distribution over x: train vae",
        "log_prob": "it learns codes and labels, not a density: train vae",
    }

    def __init__(
        self,
        x: Image | Binary | Vector,
        label: Category,
        *,
        hidden: tuple[Size, ...] = (1000, 1000, 1000),
        corruption: Corruption = "masking",
        level: NonNegative = 0.25,
        pretrain: Annotated[float, Range(0, 0.99)] = 0.5,
        tune_level: NonNegative = 0.0,
        dropout: Dropout = 0.0,
    ):
        super().__init__()
        if not hidden:
            raise UserError(f"{self.title()}: hidden must name the units of one layer or more, such as 1000 1000 1000")
        self.bounded = not isinstance(x, Vector)
        sizes = (x.size, *hidden)
        self.encoders = nn.Sequential(*(nn.Sequential(_linear(v, h), nn.Sigmoid()) for v, h in itertools.pairwise(sizes)))
        self.decoders = nn.ModuleList(_linear(h, v) for v, h in itertools.pairwise(sizes))
        self.injectors = nn.ModuleList(Injector(corruption, level, bounded=k > 0 or self.bounded) for k in range(len(hidden)))
        self.tune_injector = Injector(corruption, tune_level, bounded=self.bounded)
        self.classifier = nn.Linear(sizes[-1], label.classes)
        self.codes = Vector(sizes[-1])
        self.pretrain, self.dropout = pretrain, dropout

    def stages(self) -> Sequence[Stage]:
        stages = []
        for k in range(len(self.encoders)) if self.pretrain else ():
            player = Player(f"layer_{k + 1}", [self.encoders[k], self.decoders[k]], functools.partial(self.denoising_loss, k))
            stages.append(Stage(player.name, [player], until=self.pretrain * (k + 1) / len(self.encoders)))
        return [*stages, Stage("tune", [Player("classifier", [self.encoders, self.classifier], self.loss)])]

    def denoising_loss(self, k: int, batch: Batch, noise: Noise) -> dict[str, Part]:
        """Layer `k` (from 0) restores the clean code of the layers below it from a corrupted one."""
        with torch.no_grad():
            v_BD = self.encoders[:k](batch["x"].flatten(1))
        restored_BD = self.decoders[k](self.encoders[k](self.injectors[k](v_BD, noise)))
        if k > 0 or self.bounded:
            return {"cross_entropy": F.binary_cross_entropy_with_logits(restored_BD, v_BD, reduction="none").sum(1)}
        return {"squared_error": F.mse_loss(restored_BD, v_BD, reduction="none").sum(1)}

    def loss(self, batch: Batch, noise: Noise) -> dict[str, Part]:
        """Fine-tuning: cross-entropy of the labels, in nats; the error rate is logged."""
        h_BH = self.tune_injector(batch["x"].flatten(1), noise)
        for encoder in self.encoders:
            h_BH = noise.dropout(encoder(h_BH), self.dropout if self.training else 0.0)
        logits_BC = self.classifier(h_BH)
        nll_B = F.cross_entropy(logits_BC, batch["label"], reduction="none")
        wrong_B = logits_BC.argmax(1) != batch["label"]
        return {"cross_entropy": nll_B, "error": Logged(wrong_B.to(nll_B.dtype))}

    def encode(self, x: Tensor) -> Tensor:
        """The top code of `x` (B, *shape), numbers in [0, 1], (B, hidden[-1])."""
        return self.encoders(x.flatten(1))

    def classify(self, x: Tensor) -> Tensor:
        """Logits of the label of `x` (B, *shape), (B, classes)."""
        return self.classifier(self.encode(x))


def _linear(inputs: int, outputs: int) -> nn.Linear:
    """An affine map beside sigmoid units, initialised for them: their slope is 1/4 (Glorot & Bengio, 2010)."""
    linear = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(linear.weight, gain=4)
    nn.init.zeros_(linear.bias)
    return linear
