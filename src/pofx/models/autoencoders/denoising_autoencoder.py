"""The denoising autoencoder: a code of a corrupted x that the clean x can be restored from."""

from __future__ import annotations

from typing import ClassVar

from pofx.kinds import Binary, Image, Series, Vector
from pofx.layers.bodies import Activation, Body
from pofx.layers.corruption import Corruption, Injector
from pofx.models.autoencoders.autoencoder import AutoEncoder, Reconstruction
from pofx.options import NonNegative, Size
from pofx.plan import Batch, Part
from pofx.randomness import Noise


class DenoisingAutoEncoder(AutoEncoder):
    """Denoising autoencoder: x~ from a corruption q(x~ | x), z = f(x~), x' = g(z), trained so that x' is near the clean x.

    To undo the corruption it must learn where the data lie, so the code may have more numbers than x. Outside training nothing is
    corrupted: `encode` and `decode` take what they are given, and decoding the code of a noisy x cleans it.

    References:
        Extracting and Composing Robust Features with Denoising Autoencoders (Vincent, Larochelle, Bengio & Manzagol, 2008), ICML
        Stacked Denoising Autoencoders (Vincent, Larochelle, Lajoie, Bengio & Manzagol, 2010), JMLR 11

    Args:
        x: pictures, bits, vectors or sequences
        latent: numbers in the code
        body: mlp, conv (pictures) or recurrent (sequences)
        hidden: units of each layer (mlp); channels after each halving of the picture, then units of a dense layer (conv); or units of each
            GRU (recurrent); the decoder has them in reverse, and where left out they are the body's own
        activation: of the hidden layers; the body's own where left out
        reconstruction: mse or bernoulli; where left out, bernoulli for pictures and bits (which mse learns far slower) and mse for the rest
        corruption: masking (numbers become 0), gaussian (normal noise is added) or salt_and_pepper (pictures and bits: 0 or 1)
        level: probability that a number is corrupted; for gaussian, the standard deviation in units of x

    Example:
        >>> import torch
        >>> model = DenoisingAutoEncoder(Vector(6), latent=3, corruption="gaussian", level=0.5)
        >>> x, noise = torch.zeros(4, 6), Noise((0, 0, "x"), slice(0, 4), 4)
        >>> model.loss({"x": x}, noise)["mse"].shape, model.encode(x).shape
        (torch.Size([4]), torch.Size([4, 3]))
    """

    paper: ClassVar = ("Vincent et al.", 2008, "doi:10.1145/1390156.1390294")

    def __init__(
        self,
        x: Image | Binary | Vector | Series,
        *,
        latent: Size = 16,
        body: Body = "mlp",
        hidden: tuple[Size, ...] | None = None,
        activation: Activation | None = None,
        reconstruction: Reconstruction | None = None,
        corruption: Corruption = "masking",
        level: NonNegative = 0.25,
    ):
        super().__init__(x, latent=latent, body=body, hidden=hidden, activation=activation, reconstruction=reconstruction)
        self.injector = Injector(corruption, level, bounded=self.bounded)

    def loss(self, batch: Batch, noise: Noise) -> dict[str, Part]:
        corrupted = self.injector(batch["x"], noise)
        return self.restoration(self.encoder(corrupted), batch["x"])
