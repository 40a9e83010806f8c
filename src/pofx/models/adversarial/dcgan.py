"""The deep convolutional generative adversarial network.

Shapes: B examples, C channels or feature maps, H and W height and width, d numbers in a code.
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pofx import renamed
from pofx.bases.gan import Adversarial, LossName, MinibatchStd, PenaltyName, packed
from pofx.distributions.priors import Gaussian, Uniform
from pofx.errors import UserError
from pofx.kinds import Image, Vector
from pofx.layers.bodies import ChannelsLast
from pofx.options import Count, Fraction, NonNegative, Positive, Size

SMALLEST = 4  # pixels of the smallest feature maps, and of the grid that features are pooled to


class DCGAN(Adversarial):
    """Deep convolutional GAN: a generator that doubles a small picture until it is x, and a discriminator that halves x, with batch
    normalisation.

    The paper's rules: strided convolutions instead of pooling, transposed ones in the generator; batch normalisation everywhere but in the
    generator's last layer and the discriminator's first; no hidden dense layer; ReLU in the generator and tanh at its end, LeakyReLU of
    slope 0.2 in the discriminator; weights from N(0, 0.02^2); Adam with rate 2e-4 and beta1 0.5. Pictures are halved, rounded up, until a
    side is 4 pixels or less: 28, 32 and 64 pixels end as 4x4.

    In training, batch normalisation makes what is said of an example depend on the batch. A penalty is on the gradient of each
    example's score in that example, which has no meaning there (Gulrajani et al., 2017, section 4), and spectral_norm bounds a
    discriminator that batch normalisation would rescale (Miyato et al., 2018): with either, the discriminator is without it.

    `encode` gives the discriminator's features (section 5.1): what its convolutional layers say, max-pooled to 4x4, in one vector.

    References:
        Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks (Radford, Metz & Chintala, 2015),
        arXiv 1511.06434
        penalties, normalisation and the like: `pofx.bases.gan`

    Args:
        x: pictures of 8 pixels or more a side
        latent: numbers in z
        prior: of z: uniform on [-1, 1), as in the paper, or gaussian
        width: feature maps of the generator before its last layer, doubled at each halving before. The paper has 128
        discriminator_width: feature maps of the discriminator's first layer, doubled at each halving; None: as many, so that the two mirror
            each other
        loss: minimax; non_saturating; hinge; least_squares; wasserstein (with a penalty)
        discriminator_steps: moves of the discriminator for one of the generator
        penalty: on the discriminator's gradient in x: none, wgan_gp (between real and generated x) or r1 (at real x)
        penalty_weight: of the penalty
        spectral_norm: divides each of the discriminator's affine maps by its largest singular value
        minibatch_std: shows the discriminator how much the examples of a batch differ
        packing: so many x are scored together, by one number
        discriminator_augment: standard deviation of the random affine map through which the discriminator sees each picture, real or
            generated
        smoothing: real x count as real with 1 - smoothing only
        pool: so many generated x are kept, and up to half of those that the discriminator sees are old ones
        lr_generator: learning rate of the generator
        lr_discriminator: learning rate of the discriminator
        beta1: decay of the mean gradient in both players' Adam

    Example:
        >>> dcgan = DCGAN(Image(3, 32, 32), width=8).eval()
        >>> dcgan.sample(5).shape, dcgan.encode(torch.zeros(2, 3, 32, 32)).shape
        (torch.Size([5, 3, 32, 32]), torch.Size([2, 896]))
    """

    paper: ClassVar = ("Radford, Metz & Chintala", 2015, "1511.06434")
    small: ClassVar = {"latent": 3, "width": 2}
    discriminator: Discriminator
    without: ClassVar = {
        **Adversarial.without,
        "decode": "the discriminator's features are no codes of the generator: generate makes x of a z from the prior",
    }

    def __init__(
        self,
        x: Image,
        *,
        latent: Size = 100,
        prior: Literal["uniform", "gaussian"] = "uniform",
        width: Size = 64,
        discriminator_width: Size | None = None,
        loss: LossName = "non_saturating",
        discriminator_steps: Size = 1,
        penalty: PenaltyName = "none",
        penalty_weight: NonNegative = 10.0,
        spectral_norm: bool = False,
        minibatch_std: bool = False,
        packing: Size = 1,
        discriminator_augment: NonNegative = 0.0,
        smoothing: Fraction = 0.0,
        pool: Count = 0,
        lr_generator: Positive = 2e-4,
        lr_discriminator: Positive = 2e-4,
        beta1: Fraction = 0.5,
    ):
        super().__init__()
        sizes = halvings(x)
        maps = [width * 2**i for i in range(len(sizes) - 1)]  # after each halving
        discriminator_maps = [(discriminator_width or width) * 2**i for i in range(len(sizes) - 1)]
        normalised = penalty == "none" and not spectral_norm
        generator = Generator(latent, x.channels, maps[::-1], sizes[::-1])
        discriminator = Discriminator(
            packed(x, packing).shape[0], discriminator_maps, sizes[-1], normalised=normalised, minibatch_std=minibatch_std
        )
        generator.apply(initialize)
        discriminator.apply(initialize)
        self.codes = Vector(sum(c * min(h, SMALLEST) * min(w, SMALLEST) for c, (h, w) in zip(discriminator_maps, sizes[1:], strict=True)))
        self.play(x, Uniform(latent) if prior == "uniform" else Gaussian(latent), generator, discriminator)

    def encode(self, x: Tensor) -> Tensor:
        """The discriminator's features of x (B, C, H, W), (B, d); a discriminator of packed x is shown copies of each."""
        layers = self.discriminator.features(torch.cat([x] * self.rules.packing, dim=1))
        grids = [F.adaptive_max_pool2d(h, [min(side, SMALLEST) for side in h.shape[2:]]) for h in layers]
        return torch.cat([h.flatten(1) for h in grids], dim=1).to(x.dtype)


class Generator(nn.Module):
    """Codes (B, d) to pictures in [0, 1], (B, channels, H, W).

    Args:
        latent: d
        channels: of the pictures
        maps: feature maps before each doubling
        sizes: height and width before each doubling, and last the picture's
    """

    def __init__(self, latent: int, channels: int, maps: list[int], sizes: list[tuple[int, int]]):
        super().__init__()
        smallest = (maps[0], *sizes[0])
        # no bias before batch normalisation, which takes the mean away
        self.project = nn.Linear(latent, smallest[0] * smallest[1] * smallest[2], bias=False)
        layers: list[nn.Module] = [nn.Unflatten(1, smallest), ChannelsLast()]
        for number, ((c_in, c_out), (height, width)) in enumerate(zip(pairwise([*maps, channels]), sizes[1:], strict=True), start=1):
            odd = (1 - height % 2, 1 - width % 2)  # 4 pixels become 7 or 8
            layers += [nn.BatchNorm2d(c_in), nn.ReLU(inplace=True)]
            layers += [nn.ConvTranspose2d(c_in, c_out, 5, stride=2, padding=2, output_padding=odd, bias=number == len(maps))]
        self.layers = nn.Sequential(*layers, nn.Tanh())

    def forward(self, z_Bd: Tensor) -> Tensor:
        return (1 + self.layers(self.project(z_Bd))) / 2


class Discriminator(nn.Module):
    """Pictures in [0, 1], (B, channels, H, W), to scores (B, 1).

    Args:
        channels: of the pictures
        maps: feature maps after each halving
        smallest: height and width after the last
        normalised: with batch normalisation
        minibatch_std: shows the last layer how much the examples of a batch differ
    """

    def __init__(self, channels: int, maps: list[int], smallest: tuple[int, int], *, normalised: bool, minibatch_std: bool):
        super().__init__()
        self.layers = nn.ModuleList()
        for c_in, c_out in pairwise([channels, *maps]):
            norm = [nn.BatchNorm2d(c_out)] * (normalised and len(self.layers) > 0)
            conv = nn.Conv2d(c_in, c_out, 5, stride=2, padding=2, bias=not norm)
            self.layers.append(nn.Sequential(conv, *norm, nn.LeakyReLU(0.2, inplace=True)))
        units = (maps[-1] + minibatch_std) * smallest[0] * smallest[1]
        self.last = nn.Sequential(*[MinibatchStd()] * minibatch_std, nn.Flatten(), nn.Linear(units, 1))

    def features(self, x_BCHW: Tensor) -> list[Tensor]:
        """What each convolutional layer makes of x, (B, C, H, W) each."""
        h_BCHW, found = (2 * x_BCHW - 1).contiguous(memory_format=torch.channels_last), list[Tensor]()
        for layer in self.layers:
            h_BCHW = layer(h_BCHW)
            found.append(h_BCHW)
        return found

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return self.last(self.features(x_BCHW)[-1])


def halvings(x: Image) -> list[tuple[int, int]]:
    """Height and width of x, and after each halving, rounded up, until a side is 4 or less.

    Example:
        >>> halvings(Image(1, 28, 28))
        [(28, 28), (14, 14), (7, 7), (4, 4)]
    """
    sizes = [(x.height, x.width)]
    if min(sizes[0]) < 2 * SMALLEST:
        raise UserError(f"dcgan needs pictures of {2 * SMALLEST} pixels or more a side, not {x.height}x{x.width}: enlarge them with --size")
    while min(sizes[-1]) > SMALLEST:
        height, width = sizes[-1]
        sizes.append((-(-height // 2), -(-width // 2)))
    return sizes


def initialize(module: nn.Module) -> None:
    """Weights from N(0, 0.02^2); scales of batch normalisation from N(1, 0.02^2), as in the authors' program."""
    if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d)):
        nn.init.normal_(module.weight, float(isinstance(module, nn.BatchNorm2d)), 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


__getattr__ = renamed.stayed(__name__)  # names that are called otherwise now, or are elsewhere
