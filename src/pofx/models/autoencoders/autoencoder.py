"""The plain autoencoder: a code that x can be restored from.

Shapes: B examples, D numbers in an example, K numbers in a code; r_BP are the decoder's numbers, (B, 1, *shape).
"""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor
from torch.nn import functional as F

from pofx.errors import UserError
from pofx.kinds import Binary, Image, Series, Vector
from pofx.layers import bodies
from pofx.layers.bodies import Activation, Body
from pofx.model import Model
from pofx.options import Size
from pofx.plan import Batch, Part
from pofx.randomness import Noise

Reconstruction = Literal["mse", "bernoulli"]


class AutoEncoder(Model):
    """Autoencoder: z = f(x), x' = g(z), trained so that x' is near x, with a code z of fewer numbers than x.

    mse: the mean of (x - x')^2 over the numbers of x. bernoulli: the cross-entropy of x and x' in nats, summed over the numbers of x, for
    x in [0, 1]. For pictures and bits x' is the sigmoid of the decoder's numbers, so in [0, 1]; for vectors and sequences it is these.

    References:
        Learning representations by back-propagating errors (Rumelhart, Hinton & Williams, 1986), Nature 323
        Reducing the dimensionality of data with neural networks (Hinton & Salakhutdinov, 2006), Science 313
        conv: Stacked Convolutional Auto-Encoders for Hierarchical Feature Extraction (Masci et al., 2011), ICANN
        recurrent: Unsupervised Learning of Video Representations using LSTMs (Srivastava et al., 2015), arXiv 1502.04681; here with GRUs

    Args:
        x: pictures, bits, vectors or sequences
        latent: numbers in the code
        body: mlp, conv (pictures) or recurrent (sequences)
        hidden: units of each layer (mlp); channels after each halving of the picture, then units of a dense layer (conv); or units of each
            GRU (recurrent); the decoder has them in reverse, and where left out they are the body's own
        activation: of the hidden layers; the body's own where left out
        reconstruction: mse or bernoulli; where left out, bernoulli for pictures and bits (which mse learns far slower) and mse for the rest

    Example:
        >>> import torch
        >>> model = AutoEncoder(Image(1, 8, 8), latent=3, body="conv", hidden=(4, 8))
        >>> z = model.encode(torch.rand(5, 1, 8, 8))
        >>> z.shape, model.decode(z).shape
        (torch.Size([5, 3]), torch.Size([5, 1, 8, 8]))
    """

    paper: ClassVar = ("Hinton and Salakhutdinov", 2006, "doi:10.1126/science.1127647")
    small: ClassVar = {"latent": 2, "hidden": (6,)}
    without: ClassVar = {
        "sample": "an autoencoder has no distribution over its codes to draw from: train vae",
        "log_prob": "an autoencoder restores x and gives it no probability: train vae",
    }

    def __init__(
        self,
        x: Image | Binary | Vector | Series,
        *,
        latent: Size = 16,
        body: Body = "mlp",
        hidden: tuple[Size, ...] | None = None,
        activation: Activation | None = None,
        reconstruction: Reconstruction | None = None,
    ):
        super().__init__()
        self.bounded = isinstance(x, (Image, Binary))
        if reconstruction == "bernoulli" and not self.bounded:
            raise UserError(f"{self.title()}: reconstruction bernoulli needs x in [0, 1] (Image or Binary), not {x}: use mse")
        self.reconstruction = reconstruction or ("bernoulli" if self.bounded else "mse")
        self.encoder = bodies.encoder(x, body, latent, hidden=hidden, activation=activation)
        self.decoder = bodies.decoder(x, body, latent, hidden=hidden, activation=activation)
        self.codes = Vector(latent)

    def loss(self, batch: Batch, noise: Noise) -> dict[str, Part]:
        return self.restoration(self.encoder(batch["x"]), batch["x"])

    def restoration(self, z: Tensor, x: Tensor) -> dict[str, Part]:
        """How far the decoding of `z` (B, latent) is from `x` (B, *shape): the loss's part, (B,)."""
        if self.reconstruction == "bernoulli":
            r_B = self.decoder(z).squeeze(1)
            return {"bernoulli": F.binary_cross_entropy_with_logits(r_B, x, reduction="none").flatten(1).sum(1)}
        return {"mse": (self.decode(z) - x).square().flatten(1).mean(1)}

    def encode(self, x: Tensor) -> Tensor:
        """Codes of `x` (B, *shape), (B, latent)."""
        return self.encoder(x)

    def decode(self, z: Tensor) -> Tensor:
        """The x that codes `z` (B, latent) stand for, (B, *shape); pictures and bits in [0, 1]."""
        r_B = self.decoder(z).squeeze(1)
        return r_B.sigmoid() if self.bounded else r_B
