"""The semi-supervised adversarial autoencoder: few labels, many x.

Shapes: B examples, C classes; y_BC a label, a point of the simplex, z_BZ the style, l_BC logits of y.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from pofx.bases.adversarial_autoencoder import AdversarialAutoEncoder, Body, LabelAndStyle, Reconstruction, mirrored, perceptron
from pofx.bases.gan import LossName, PenaltyName
from pofx.distributions.priors import Categorical, Gaussian, Joint
from pofx.errors import UserError
from pofx.kinds import Binary, Category, Image, Vector
from pofx.layers.spatial_transformer import place
from pofx.options import Fraction, NonNegative, Positive, Size
from pofx.plan import Adam, Batch, Logged, Part, Player
from pofx.randomness import Noise


class SemiSupervisedAAE(AdversarialAutoEncoder):
    """Semi-supervised adversarial autoencoder: x is made of a label y and a style z, and the encoder finds both, q(y | x) and q(z | x).

    p(y) = Cat(C), p(z) = N(0, 1), x = decoder(y, z). A discriminator of y and one of z make E_x q(y | x) one-hot and E_x q(z | x) Gaussian,
    so that z can hold no label; each step ends with the cross-entropy of q(y | x) on a batch of labelled x.

    x and label need not be paired: `label` is that of `x_labelled`, a smaller set (data with `--labelled`). With batch_norm, what the
    encoder makes of an example depends in training on its batch.

    References:
        Adversarial Autoencoders (Makhzani, Shlens, Jaitly, Goodfellow & Frey, 2015), arXiv 1511.05644, section 5
        pose: Spatial Transformer Networks (Jaderberg, Simonyan, Zisserman & Kavukcuoglu, 2015), arXiv 1506.02025
        temperature: The Concrete Distribution (Maddison, Mnih & Teh, 2016), arXiv 1611.00712

    Args:
        x: pictures, bits or vectors
        x_labelled: those whose label is known, of the same kind
        label: theirs
        latent: numbers in the style z
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
        lr_label: learning rate of the encoder on labels
        beta1: decay of the mean gradient in the Adam of discriminators, and of the encoder against them

    Example:
        >>> aae = SemiSupervisedAAE(Image(1, 8, 8), Image(1, 8, 8), Category(10), latent=4, hidden=(16,), discriminator_hidden=(16,))
        >>> [player.name for player in aae.stages()[0].players]
        ['reconstruction', 'discriminator', 'regularisation', 'label']
        >>> x = torch.rand(5, 1, 8, 8)
        >>> aae.classify(x).shape, aae.encode(x).shape
        (torch.Size([5, 10]), torch.Size([5, 14]))
    """

    encoder: LabelAndStyle
    paper: ClassVar = ("Makhzani et al.", 2015, "1511.05644")
    small: ClassVar = {"latent": 2, "hidden": (8,), "discriminator_hidden": (6,)}

    def __init__(
        self,
        x: Image | Binary | Vector,
        x_labelled: Image | Binary | Vector,
        label: Category,
        *,
        latent: Size = 10,
        body: Body = "mlp",
        hidden: tuple[Size, ...] | None = None,
        discriminator_hidden: tuple[Size, ...] = (1000, 1000),
        batch_norm: bool = False,
        input_noise: NonNegative = 0.3,
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
        lr_label: Positive = 1e-3,
        beta1: Fraction = 0.5,
    ):
        super().__init__()
        if x_labelled != x:
            raise UserError(f"{self.title()}: x_labelled must be of the same kind as x, {x}, not {x_labelled}")
        C = label.classes
        encoder = LabelAndStyle(
            x,
            body,
            hidden,
            C,
            latent,
            batch_norm=batch_norm,
            input_noise=input_noise,
            encoder_augment=encoder_augment,
            pose=pose,
            style_noise=style_noise,
            temperature=temperature,
        )
        decoder = mirrored(x, body, hidden, C + latent, pose=place(C, latent) if pose else None)
        discriminators = {"y": perceptron(C, *discriminator_hidden, 1), "z": perceptron(latent, *discriminator_hidden, 1)}
        self.play(x, Joint({"y": Categorical(C), "z": Gaussian(latent)}), encoder, decoder, discriminators)

    def phases(self) -> list[Player]:
        return [*super().phases(), Player("label", [self.encoder], self.label_loss, Adam(self.config["lr_label"]))]

    def label_loss(self, batch: Batch, noise: Noise) -> dict[str, Part]:
        """The cross-entropy of labelled x in nats; the error rate is logged."""
        l_BC, _ = self.encoder.logits(batch["x_labelled"], noise)
        wrong_B = l_BC.argmax(1) != batch["label"]
        return {"cross_entropy": F.cross_entropy(l_BC, batch["label"], reduction="none"), "error": Logged(wrong_B.to(l_BC.dtype))}

    def classify(self, x: Tensor) -> Tensor:
        """Logits of the label of `x` (B, *shape), (B, classes)."""
        return self.encoder.logits(x)[0]

    @torch.no_grad()
    def sample(self, n: int, *, given: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """`n` draws of label and style, decoded: (n, *shape).

        Args:
            n: how many
            given: labels (n,), instead of drawn ones
            generator: the source of randomness
        """
        z = self.prior.sample(n, next(self.parameters()), generator)
        if given is not None:
            C = self.encoder.sizes[0]
            z = torch.cat([F.one_hot(given, C).to(z.dtype), z[:, C:]], dim=1)
        return self.generate(z)
