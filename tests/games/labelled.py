"""The smallest conditional model on the autoregressive base, of pictures with any number of levels and channels."""

from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from pofx.bases.autoregressive import Autoregressive
from pofx.distributions.likelihoods import likelihood
from pofx.kinds import Binary, Category, Image


class Labelled(Autoregressive):
    """Each number's logits are an affine function of those before it, and of the label.

    References:
        Connectionist learning of belief networks (Neal, 1992)

    Args:
        x: pictures
        label: classes
    """

    paper: ClassVar = ("Neal", 1992, "Artificial Intelligence 56")

    def __init__(self, x: Image | Binary, label: Category | None = None):
        super().__init__(x, likelihood(x, "categorical"), label)
        D, P = x.size, self.likelihood.per_element
        self.weight_PDD, self.bias_PD = nn.Parameter(torch.zeros(P, D, D)), nn.Parameter(torch.zeros(P, D))
        if label is not None:
            self.bias_YPD = nn.Parameter(torch.zeros(label.classes, P, D))

    def params(self, x, given=None):
        x_BD = x.flatten(1)[:, self.order]
        logits_BPD = F.linear(x_BD, self.weight_PDD.tril(-1).flatten(0, 1)).unflatten(1, self.bias_PD.shape) + self.bias_PD
        if given is not None:
            logits_BPD = logits_BPD + self.bias_YPD[given]
        return logits_BPD[:, :, self.order.argsort()].unflatten(2, self.shape)
