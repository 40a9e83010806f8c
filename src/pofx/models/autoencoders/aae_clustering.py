"""Clustering, and dimension reduction, with an adversarial autoencoder.

Shapes: B examples, K clusters; y_BK which cluster, a point of the simplex, z_BZ the style, w_KZ the clusters' heads.
"""

from __future__ import annotations

import math
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from pofx.bases.adversarial_autoencoder import AdversarialAutoEncoder, Body, LabelAndStyle, Reconstruction, mirrored, perceptron
from pofx.bases.gan import LossName, PenaltyName
from pofx.distributions.priors import Categorical, Gaussian, Joint
from pofx.errors import UserError
from pofx.kinds import Binary, Image, Vector
from pofx.layers.spatial_transformer import place
from pofx.options import Fraction, NonNegative, Positive, Size
from pofx.plan import Batch, Part, Player
from pofx.randomness import Noise


class ClusteringAAE(AdversarialAutoEncoder):
    """Adversarial autoencoder that clusters: x is made of a cluster y, one of K, and a style z; no label is seen.

    p(y) = Cat(K), p(z) = N(0, 1), x = decoder(y, z). A discriminator of y makes the codes one-hot and all clusters as likely, one of z
    leaves no more room beside them than a style takes.

    With `dimensions` n the decoder takes n numbers only, y W + z: the head of the cluster, a row of W, plus a style of n numbers. That is
    also the code: x is laid out in n dimensions, its clusters around their heads. Heads that are nearer to each other than `separation`
    cost what they lack, sum_(i < j) max(0, separation - |w_i - w_j|).

    With batch_norm, what the encoder makes of an example depends in training on its batch.

    References:
        Adversarial Autoencoders (Makhzani, Shlens, Jaitly, Goodfellow & Frey, 2015), arXiv 1511.05644, sections 6 and 7
        pose: Spatial Transformer Networks (Jaderberg, Simonyan, Zisserman & Kavukcuoglu, 2015), arXiv 1506.02025
        temperature: The Concrete Distribution (Maddison, Mnih & Teh, 2016), arXiv 1611.00712

    Args:
        x: pictures, bits or vectors
        clusters: K
        latent: numbers in the style z; with dimensions, these
        dimensions: lays x out in so many dimensions, such as 2 for a picture
        separation: distance below which two clusters' heads cost something; only with dimensions
        body: of encoder and decoder: mlp, or conv for pictures
        hidden: units of each layer of the encoder (mlp), or channels after each halving of the picture and then units of a dense layer
            (conv), the decoder's in reverse; None: (1000, 1000) for mlp, (32, 64, 256) for conv
        discriminator_hidden: units of each layer of each discriminator
        batch_norm: batch normalisation of the layers of an mlp encoder, and of the logits of y
        input_noise: standard deviation of the noise that is added to what is encoded in training
        pose: the first six numbers of z turn, scale, slant and move the picture that all others decode to
        encoder_augment: what is encoded in training is put through a random affine map, six numbers of this standard deviation; pictures
            only
        style_noise: standard deviation of the noise that is added in training to z, its pose excepted
        temperature: in training y is drawn, by the concrete distribution of this temperature; None: y is the softmax itself
        reconstruction: mse or bernoulli; where left out, bernoulli for pictures and bits and mse for vectors
        loss: of discriminators and encoder: minimax, non_saturating, hinge, least_squares or wasserstein (with a penalty)
        penalty: on the discriminators' gradient: none, wgan_gp (between draws and codes) or r1 (at draws)
        penalty_weight: of the penalty
        spectral_norm: divides each of the discriminators' affine maps by its largest singular value
        smoothing: draws from the prior count as real with 1 - smoothing only
        lr: learning rate of the reconstruction phase
        lr_discriminator: learning rate of the discriminators
        lr_regularisation: learning rate of the encoder against the discriminators
        beta1: decay of the mean gradient in the Adam of discriminators, and of the encoder against them

    Example:
        >>> import torch
        >>> aae = ClusteringAAE(Image(1, 8, 8), clusters=3, dimensions=2, hidden=(16,), discriminator_hidden=(16,))
        >>> x = torch.rand(5, 1, 8, 8)
        >>> aae.cluster(x).shape, aae.encode(x).shape, aae.prior.dims
        (torch.Size([5]), torch.Size([5, 2]), 5)
    """

    encoder: LabelAndStyle
    prior: Joint
    paper: ClassVar = ("Makhzani et al.", 2015, "1511.05644")
    small: ClassVar = {"clusters": 3, "latent": 2, "hidden": (8,), "discriminator_hidden": (6,)}

    def __init__(
        self,
        x: Image | Binary | Vector,
        *,
        clusters: Size = 16,
        latent: Size | None = None,
        dimensions: Size | None = None,
        separation: Positive = 8.0,
        body: Body = "mlp",
        hidden: tuple[Size, ...] | None = None,
        discriminator_hidden: tuple[Size, ...] = (1000, 1000),
        batch_norm: bool = False,
        input_noise: NonNegative = 0.0,
        pose: bool = False,
        encoder_augment: NonNegative = 0.0,
        style_noise: NonNegative = 0.0,
        temperature: Positive | None = None,
        reconstruction: Reconstruction | None = None,
        loss: LossName = "non_saturating",
        penalty: PenaltyName = "none",
        penalty_weight: NonNegative = 10.0,
        spectral_norm: bool = False,
        smoothing: Fraction = 0.0,
        lr: Positive = 1e-3,
        lr_discriminator: Positive = 1e-3,
        lr_regularisation: Positive = 1e-3,
        beta1: Fraction = 0.5,
    ):
        super().__init__()
        if dimensions is not None and latent not in (None, dimensions):
            raise UserError(f"{self.title()}: with dimensions {dimensions} the style has as many numbers: remove latent, given as {latent}")
        if dimensions is not None and pose:
            raise UserError(
                f"{self.title()}: with dimensions, cluster and style are added up, and no number is a pose's: remove one of them"
            )
        K, Z, self.clusters, self.separation = clusters, dimensions or latent or 10, clusters, separation
        encoder = LabelAndStyle(
            x,
            body,
            hidden,
            K,
            Z,
            batch_norm=batch_norm,
            input_noise=input_noise,
            encoder_augment=encoder_augment,
            pose=pose,
            style_noise=style_noise,
            temperature=temperature,
        )
        decoder = mirrored(x, body, hidden, Z if dimensions else K + Z, pose=place(K, Z) if pose else None)
        discriminators = {"y": perceptron(K, *discriminator_hidden, 1), "z": perceptron(Z, *discriminator_hidden, 1)}
        self.play(x, Joint({"y": Categorical(K), "z": Gaussian(Z)}), encoder, decoder, discriminators, codes=dimensions)
        self.heads = nn.Linear(K, Z, bias=False) if dimensions else None
        if self.heads is not None:  # about as far apart as they are to be
            nn.init.normal_(self.heads.weight, std=separation / math.sqrt(2 * Z))

    def phases(self) -> list[Player]:
        reconstruction, *others = super().phases()
        if self.heads is None:
            return [reconstruction, *others]
        return [Player(reconstruction.name, [*reconstruction.modules, self.heads], reconstruction.loss, reconstruction.optimizer), *others]

    def coded(self, z: Tensor) -> Tensor:
        """y and z as they are; with `dimensions`, y W + z."""
        if self.heads is None:
            return z
        y_BK, z_BZ = self.prior.split(z).values()
        return self.heads(y_BK).to(z.dtype) + z_BZ

    def reconstruction_loss(self, batch: Batch, noise: Noise) -> dict[str, Part]:
        """Encoder and decoder restore x; with `dimensions`, heads that are too near to each other cost what they lack."""
        parts = super().reconstruction_loss(batch, noise)
        if self.heads is not None:
            parts["separation"] = self.crowding().expand(len(batch["x"]))
        return parts

    def crowding(self) -> Tensor:
        """sum_(i < j) max(0, separation - |w_i - w_j|) over the clusters' heads, a scalar."""
        assert self.heads is not None
        return F.relu(self.separation - F.pdist(self.heads.weight.T)).sum()

    def cluster(self, x: Tensor) -> Tensor:
        """The most likely cluster of `x` (B, *shape), int64 (B,)."""
        return self.encoder.logits(x)[0].argmax(1)

    def memberships(self, x: Tensor) -> Tensor:
        """The probability of each cluster given `x` (B, *shape), (B, K)."""
        return self.encoder.logits(x)[0].softmax(1)
