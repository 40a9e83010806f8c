"""The network whose features the Frechet inception distance (FID) compares: Inception v3, as its authors' TensorFlow graph of 2015 has it.

Modules are named as in the file of weights that is in use, so that it loads as it is. What differs from the published network: an average
pooling does not count what lies outside the picture, the last block takes the largest of a place's neighbours, and there are 1008 classes.

Shapes: B examples, H and W height and width.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pofx.errors import UserError

Kernel = int | tuple[int, int]


class Conv(nn.Module):
    """A convolution, batch normalisation, and a ReLU; the picture keeps its size unless `stride` or `shrinks` says otherwise."""

    def __init__(self, c_in: int, c_out: int, kernel: Kernel = 1, stride: int = 1, *, shrinks: bool = False):
        super().__init__()
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (0, 0) if shrinks or stride > 1 else (height // 2, width // 2)
        self.conv = nn.Conv2d(c_in, c_out, (height, width), stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(c_out, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


def average(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


class BlockA(nn.Module):
    def __init__(self, c_in: int, pooled: int):
        super().__init__()
        self.branch1x1 = Conv(c_in, 64)
        self.branch5x5_1, self.branch5x5_2 = Conv(c_in, 48), Conv(48, 64, 5)
        self.branch3x3dbl_1, self.branch3x3dbl_2, self.branch3x3dbl_3 = Conv(c_in, 64), Conv(64, 96, 3), Conv(96, 96, 3)
        self.branch_pool = Conv(c_in, pooled)

    def forward(self, x: Tensor) -> Tensor:
        five = self.branch5x5_2(self.branch5x5_1(x))
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), five, three, self.branch_pool(average(x))], 1)


class BlockB(nn.Module):
    def __init__(self, c_in: int):
        super().__init__()
        self.branch3x3 = Conv(c_in, 384, 3, 2)
        self.branch3x3dbl_1, self.branch3x3dbl_2, self.branch3x3dbl_3 = Conv(c_in, 64), Conv(64, 96, 3), Conv(96, 96, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), three, F.max_pool2d(x, 3, 2)], 1)


class BlockC(nn.Module):
    def __init__(self, c_in: int, c: int):
        super().__init__()
        self.branch1x1 = Conv(c_in, 192)
        self.branch7x7_1, self.branch7x7_2, self.branch7x7_3 = Conv(c_in, c), Conv(c, c, (1, 7)), Conv(c, 192, (7, 1))
        self.branch7x7dbl_1, self.branch7x7dbl_2, self.branch7x7dbl_3 = Conv(c_in, c), Conv(c, c, (7, 1)), Conv(c, c, (1, 7))
        self.branch7x7dbl_4, self.branch7x7dbl_5 = Conv(c, c, (7, 1)), Conv(c, 192, (1, 7))
        self.branch_pool = Conv(c_in, 192)

    def forward(self, x: Tensor) -> Tensor:
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(x), seven, double, self.branch_pool(average(x))], 1)


class BlockD(nn.Module):
    def __init__(self, c_in: int):
        super().__init__()
        self.branch3x3_1, self.branch3x3_2 = Conv(c_in, 192), Conv(192, 320, 3, 2)
        self.branch7x7x3_1, self.branch7x7x3_2 = Conv(c_in, 192), Conv(192, 192, (1, 7))
        self.branch7x7x3_3, self.branch7x7x3_4 = Conv(192, 192, (7, 1)), Conv(192, 192, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        seven = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([self.branch3x3_2(self.branch3x3_1(x)), seven, F.max_pool2d(x, 3, 2)], 1)


class BlockE(nn.Module):
    def __init__(self, c_in: int, *, largest: bool = False):
        super().__init__()
        self.branch1x1 = Conv(c_in, 320)
        self.branch3x3_1, self.branch3x3_2a, self.branch3x3_2b = Conv(c_in, 384), Conv(384, 384, (1, 3)), Conv(384, 384, (3, 1))
        self.branch3x3dbl_1, self.branch3x3dbl_2 = Conv(c_in, 448), Conv(448, 384, 3)
        self.branch3x3dbl_3a, self.branch3x3dbl_3b = Conv(384, 384, (1, 3)), Conv(384, 384, (3, 1))
        self.branch_pool = Conv(c_in, 192)
        self.largest = largest

    def forward(self, x: Tensor) -> Tensor:
        three, double = self.branch3x3_1(x), self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        pooled = F.max_pool2d(x, 3, 1, 1) if self.largest else average(x)
        wide = [self.branch3x3_2a(three), self.branch3x3_2b(three), self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double)]
        return torch.cat([self.branch1x1(x), *wide, self.branch_pool(pooled)], 1)


class Inception(nn.Module):
    """Pictures (B, 1 or 3, H, W) in [0, 1] to 2048 features.

    They are resized to 299x299, bilinearly and without smoothing first, and brought to [-1, 1].

    References:
        Rethinking the Inception Architecture for Computer Vision (Szegedy et al., 2016), arXiv 1512.00567
        GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium (Heusel et al., 2017), arXiv 1706.08500

    Example:
        >>> sum(p.numel() for p in Inception().parameters())
        23850960
    """

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Conv(3, 32, 3, 2)
        self.Conv2d_2a_3x3 = Conv(32, 32, 3, shrinks=True)
        self.Conv2d_2b_3x3 = Conv(32, 64, 3)
        self.Conv2d_3b_1x1 = Conv(64, 80)
        self.Conv2d_4a_3x3 = Conv(80, 192, 3, shrinks=True)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = BlockA(192, 32), BlockA(256, 64), BlockA(288, 64)
        self.Mixed_6a = BlockB(288)
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = (BlockC(768, c) for c in (128, 160, 160, 192))
        self.Mixed_7a = BlockD(768)
        self.Mixed_7b, self.Mixed_7c = BlockE(1280), BlockE(2048, largest=True)
        self.fc = nn.Linear(2048, 1008)  # in the file; features are what it sees

    def forward(self, x: Tensor) -> Tensor:
        x = 2 * F.interpolate(x, (299, 299), mode="bilinear", align_corners=False) - 1
        x = x.expand(-1, 3, -1, -1)  # a grey picture has three equal channels
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, 2)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(F.max_pool2d(x, 3, 2))))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        return self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x))).mean((2, 3))


def load_inception(file: Path) -> Inception:
    """The network with the weights of a .pth file, such as pt_inception-2015-12-05-6726825d.pth; nothing in it is executed.

    Raises:
        UserError: there is no such file, or it is not of this network
    """
    try:
        weights = dict(torch.load(file, map_location="cpu", weights_only=True))
    except Exception as error:  # unpickling raises many kinds
        raise UserError(f"{file} is no file of weights: {str(error).splitlines()[0]}") from None
    model = Inception().eval()
    own = model.state_dict()
    weights = {name: tensor for name, tensor in weights.items() if not name.endswith("num_batches_tracked")}
    for name, tensor in own.items():
        if name.endswith("num_batches_tracked"):  # of no use where nothing is trained, and not in every file
            continue
        if name not in weights or weights[name].shape != tensor.shape:
            raise UserError(f"{file} is not of the Inception network of the FID: {name} of shape {tuple(tensor.shape)} is not in it")
    if foreign := [name for name in weights if name not in own]:
        raise UserError(f"{file} is not of the Inception network of the FID: it has {foreign[0]}")
    model.load_state_dict(weights, strict=False)
    return model
