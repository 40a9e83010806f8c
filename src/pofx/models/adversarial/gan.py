"""The generative adversarial network.

Shapes: B examples, D numbers in an example, d numbers in a code, K pieces of a maxout unit, U units.
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, Literal

from torch import Tensor, nn

from pofx import renamed
from pofx.bases.gan import Adversarial, LossName, MinibatchStd, PenaltyName, packed
from pofx.distributions.priors import Gaussian, Uniform
from pofx.kinds import Binary, Image, Vector
from pofx.options import Count, Fraction, NonNegative, Positive, Size
from pofx.randomness import Noise


class GAN(Adversarial):
    """Generative adversarial network: a generator G makes x of noise z, a discriminator D tells it from real x.

    min_G max_D  V(D, G) = E_x log D(x) + E_z log(1 - D(G(z)))

    For a given G the best discriminator is D* = p / (p + q), where q is the density of G(z), and V(D*, G) = 2 JSD(p, q) - log 4. Its
    least value, - log 4, is where q = p and D* = 1/2 everywhere.

    With minibatch_std or packing above 1, what the discriminator says of an example depends on the batch; with batch_norm, in training,
    what the generator makes of a code.

    References:
        Generative Adversarial Networks (Goodfellow et al., 2014), arXiv 1406.2661
        batch_norm: Batch Normalization (Ioffe & Szegedy, 2015), arXiv 1502.03167
        penalties, normalisation and the like: `pofx.bases.gan`

    Args:
        x: pictures, bits or vectors
        latent: numbers in z
        prior: of z: gaussian, or uniform on [-1, 1)
        body: mlp: the same activation everywhere; maxout: the paper's discriminator, maxout units, and its generator, ReLUs
        hidden: units of each layer of the generator, and of an mlp discriminator
        discriminator_hidden: units of each layer of the discriminator; None: `hidden` for mlp, (240, 240) for maxout
        batch_norm: batch normalisation of the generator's hidden layers; not in the paper
        dropout: in training a maxout discriminator drops a fifth of its inputs and half of its units, as in the paper; nothing to an mlp
        loss: minimax; non_saturating, where the generator raises log D(G(z)) instead; hinge; least_squares;
            wasserstein, with a penalty or spectral_norm
        discriminator_steps: moves of the discriminator for one of the generator
        penalty: on the discriminator's gradient in x: none, wgan_gp (between real and generated x) or r1 (at real x)
        penalty_weight: of the penalty
        spectral_norm: divides each of the discriminator's affine maps by its largest singular value
        minibatch_std: shows the discriminator how much the examples of a batch differ
        packing: so many x are scored together, by one number; batch_size is a multiple of it
        discriminator_augment: standard deviation of the random affine map through which the discriminator sees each picture, real or
            generated
        smoothing: real x count as real with 1 - smoothing only; below 0.5
        pool: so many generated x are kept, and up to half of those that the discriminator sees are old ones
        lr_generator: learning rate of the generator
        lr_discriminator: learning rate of the discriminator
        beta1: decay of the mean gradient in both players' Adam

    Example:
        >>> import torch
        >>> gan = GAN(Vector(2), latent=4)
        >>> gan.sample(5).shape, gan.generate(torch.zeros(1, 4)).shape
        (torch.Size([5, 2]), torch.Size([1, 2]))
    """

    paper: ClassVar = ("Goodfellow et al.", 2014, "1406.2661")
    small: ClassVar = {"latent": 3, "hidden": (8,)}

    def __init__(
        self,
        x: Image | Binary | Vector,
        *,
        latent: Size = 100,
        prior: Literal["gaussian", "uniform"] = "gaussian",
        body: Literal["mlp", "maxout"] = "mlp",
        hidden: tuple[Size, ...] = (256, 256),
        discriminator_hidden: tuple[Size, ...] | None = None,
        batch_norm: bool = False,
        dropout: bool = True,
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
        self.drops = dropout and body == "maxout"
        packed_x = packed(x, packing)
        z = Uniform(latent) if prior == "uniform" else Gaussian(latent)
        if body == "maxout":
            generator = perceptron(latent, hidden, x.size, nn.ReLU(), batch_norm=batch_norm)
            discriminator: nn.Module = MaxoutDiscriminator(packed_x.size, discriminator_hidden or (240, 240), minibatch_std=minibatch_std)
        else:
            generator = perceptron(latent, hidden, x.size, nn.LeakyReLU(0.2), batch_norm=batch_norm)
            discriminator = perceptron(packed_x.size, discriminator_hidden or hidden, 1, nn.LeakyReLU(0.2), minibatch_std=minibatch_std)
        bounded = nn.Identity() if isinstance(x, Vector) else nn.Sigmoid()
        self.play(x, z, nn.Sequential(*generator, bounded, nn.Unflatten(1, x.shape)), discriminator)

    def packed_scores(self, x: Tensor, noise: Noise) -> Tensor:
        return self.discriminator(x, noise) if self.drops else self.discriminator(x)


def perceptron(
    inputs: int,
    hidden: tuple[int, ...],
    outputs: int,
    activation: nn.Module,
    *,
    batch_norm: bool = False,
    minibatch_std: bool = False,
) -> nn.Sequential:
    """Affine maps with an activation between them, of x (B, ...) taken as rows of `inputs` numbers."""
    layers: list[nn.Module] = [nn.Flatten()]
    for v, h in pairwise((inputs, *hidden)):
        norm = [nn.BatchNorm1d(h)] * batch_norm  # takes the mean away, and a bias with it
        layers += [nn.Linear(v, h, bias=not norm), *norm, activation]
    last = (inputs, *hidden)[-1]
    return nn.Sequential(*layers, *[MinibatchStd()] * minibatch_std, nn.Linear(last + minibatch_std, outputs))


class MaxoutDiscriminator(nn.Module):
    """Maxout units, each the largest of K affine maps, with dropout of a fifth of the inputs and half of the units, as in the paper.

    References:
        Maxout Networks (Goodfellow, Warde-Farley, Mirza, Courville & Bengio, 2013), arXiv 1302.4389

    Args:
        inputs: numbers in x
        hidden: units of each layer
        pieces: K
        minibatch_std: shows the last layer how much the examples of a batch differ
    """

    def __init__(self, inputs: int, hidden: tuple[int, ...], *, pieces: int = 5, minibatch_std: bool = False):
        super().__init__()
        self.pieces = pieces
        self.layers = nn.ModuleList(nn.Linear(v, h * pieces) for v, h in pairwise((inputs, *hidden)))
        self.last = perceptron((inputs, *hidden)[-1], (), 1, nn.Identity(), minibatch_std=minibatch_std)

    def forward(self, x: Tensor, noise: Noise | None = None) -> Tensor:
        """Scores of x (B, ...), (B, 1). Without noise nothing is dropped."""
        h_BU = dropped(x.flatten(1), 0.2, noise)
        for layer in self.layers:
            h_BU = dropped(layer(h_BU).unflatten(1, (-1, self.pieces)).amax(2), 0.5, noise)
        return self.last(h_BU)


def dropped(h_BU: Tensor, probability: float, noise: Noise | None) -> Tensor:
    """Dropout by the noise's rows; where x are packed, by those of the first x of each pack."""
    if noise is None:
        return h_BU
    u_NU = noise.uniform(h_BU.shape[1])
    return h_BU * (u_NU[:: len(u_NU) // len(h_BU)] >= probability) / (1 - probability)


__getattr__ = renamed.stayed(__name__)  # names that are called otherwise now, or are elsewhere
