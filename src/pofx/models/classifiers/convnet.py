"""A small convolutional classifier, whose last hidden layer says what a picture shows in few numbers.

Shapes: B examples, C channels, H and W height and width, F features, K classes.
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from pofx.errors import UserError
from pofx.kinds import Binary, Category, Image, Vector
from pofx.layers.bodies import ChannelsLast
from pofx.model import Model
from pofx.options import Dropout, Size
from pofx.plan import Batch, Logged, Part
from pofx.randomness import Noise


class ConvNet(Model):
    """Convolutional classifier after LeNet-5: convolutions and poolings in turn, one hidden layer, one logit a class.

    Where LeNet-5 has 5x5 kernels, tanh and averages, it has what came after: 3x3 kernels, ReLUs, maxima and dropout. Nothing in it is
    normalised over a batch, so no example depends on its neighbours; its codes are what samples are measured by.

    References:
        Gradient-Based Learning Applied to Document Recognition (LeCun, Bottou, Bengio & Haffner, 1998), Proc. IEEE 86(11)
        3x3 kernels and max-pooling: Very Deep Convolutional Networks (Simonyan & Zisserman, 2014), arXiv 1409.1556

    Args:
        x: pictures, of any height and width
        label: what is predicted
        channels: of each convolution; each is followed by a pooling that halves the picture
        features: units of the hidden layer, which `encode` gives
        dropout: probability that a feature is dropped in training

    Example:
        >>> import torch
        >>> net = ConvNet(Image(3, 9, 7), Category(10), features=64)
        >>> net.encode(torch.rand(5, 3, 9, 7)).shape, net.classify(torch.rand(5, 3, 9, 7)).shape
        (torch.Size([5, 64]), torch.Size([5, 10]))
    """

    paper: ClassVar = ("LeCun et al.", 1998, "Proc. IEEE 86(11):2278-2324")
    small: ClassVar = {"channels": (3, 4), "features": 6, "dropout": 0.2}
    without: ClassVar = {
        "decode": "it learns labels and keeps only what tells them: train autoencoder",
        "sample": "it learns labels, not a distribution over x: train gan or vae",
        "log_prob": "it learns labels, not a density: train vae",
    }

    def __init__(
        self,
        x: Image | Binary,
        label: Category,
        *,
        channels: tuple[Size, ...] = (32, 64, 64),
        features: Size = 128,
        dropout: Dropout = 0.5,
    ):
        super().__init__()
        if len(x.shape) != 3:
            raise UserError(f"{self.title()} needs pictures (channels, height, width), not x of shape {x.shape}")
        _, height, width = x.shape
        layers: list[nn.Module] = [ChannelsLast()]
        for c_in, c_out in pairwise((x.shape[0], *channels)):
            layers += [nn.Conv2d(c_in, c_out, 3, padding=1), nn.MaxPool2d(2, ceil_mode=True), nn.ReLU()]  # commute; this order is cheaper
            height, width = -(-height // 2), -(-width // 2)
        smallest = (*x.shape[:1], *channels)[-1] * height * width
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(smallest, features), nn.ReLU())
        self.last = nn.Linear(features, label.classes)
        self.codes, self.dropout = Vector(features), dropout

    def encode(self, x: Tensor) -> Tensor:
        """The features of `x` (B, *shape), 0 or more each, (B, features)."""
        return self.body(x).to(x.dtype)

    def classify(self, x: Tensor) -> Tensor:
        """Logits of the label of `x` (B, *shape), (B, classes)."""
        return self.last(self.encode(x))

    def loss(self, batch: Batch, noise: Noise) -> dict[str, Part]:
        """Cross-entropy of the labels, in nats; the error rate is logged."""
        h_BF = noise.dropout(self.body(batch["x"]), self.dropout if self.training else 0.0)
        logits_BK = self.last(h_BF).to(batch["x"].dtype)
        nll_B = F.cross_entropy(logits_BK, batch["label"], reduction="none")
        wrong_B = logits_BK.argmax(1) != batch["label"]
        return {"cross_entropy": nll_B, "error": Logged(wrong_B.to(nll_B.dtype))}
