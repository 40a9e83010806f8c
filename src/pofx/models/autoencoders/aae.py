"""The adversarial autoencoder.

Shapes: B examples, Z numbers in a code, U units, N numbers of noise; h_BU what the encoder's body makes of x.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from pofx.bases.adversarial_autoencoder import AdversarialAutoEncoder, Reconstruction, perceptron
from pofx.bases.gan import LossName, PenaltyName
from pofx.distributions.priors import Categorical, Gaussian, Joint, Prior, Ring, SwissRoll, Uniform
from pofx.errors import UserError
from pofx.kinds import Binary, Image, Kind, Vector
from pofx.layers import bodies
from pofx.layers.bodies import Activation
from pofx.options import Fraction, NonNegative, Positive, Size
from pofx.randomness import Noise

PriorName = Literal["gaussian", "uniform", "mixture", "swiss_roll", "categorical_gaussian"]
PosteriorName = Literal["deterministic", "gaussian", "universal"]


class AAE(AdversarialAutoEncoder):
    """Adversarial autoencoder: an autoencoder whose codes, over all x, are distributed like a prior that need only be drawn from.

    Each step has three phases: encoder and decoder restore x; a discriminator learns to tell draws from the prior p(z) from codes; and the
    encoder learns to have its codes taken for draws. In place of the VAE's KL(q(z | x) || p(z)) of each x, it is the aggregated posterior
    q(z) = E_x q(z | x) that comes to match p(z), by adversarial training whose value is the Jensen-Shannon divergence of the two.

    q(z | x) may be deterministic, z = f(x); gaussian, z = mean(x) + std(x) e; or universal, z = f(x, e) with e ~ N(0, 1), which can be any
    distribution. `encode` gives f(x), mean(x), or f(x, 0).

    References:
        Adversarial Autoencoders (Makhzani, Shlens, Jaitly, Goodfellow & Frey, 2015), arXiv 1511.05644, section 2
        penalties, normalisation and the like: `pofx.bases.gan`

    Args:
        x: pictures, bits or vectors
        latent: numbers in the code; mixture and swiss_roll lie in the plane and need 2
        prior: gaussian; uniform on [-1, 1); mixture, a flower of `components` petals in the plane; swiss_roll; categorical_gaussian, one
            of `components` as a one-hot code and a Gaussian of the numbers that are left
        components: of a mixture or categorical_gaussian prior
        posterior: deterministic, gaussian or universal
        noise: numbers of noise that a universal posterior takes
        body: of encoder and decoder: mlp, or conv for pictures
        hidden: units of each layer of the encoder (mlp), or channels after each halving of the picture and then units of a dense layer
            (conv), the decoder's in reverse; None: (1000, 1000) for mlp, (32, 64, 256) for conv
        activation: of encoder and decoder; None: relu for mlp, silu for conv
        discriminator_hidden: units of each layer of the discriminator
        reconstruction: mse or bernoulli; where left out, bernoulli for pictures and bits and mse for vectors
        loss: of discriminator and encoder: minimax, non_saturating, hinge, least_squares or wasserstein (with a penalty)
        penalty: on the discriminator's gradient: none, wgan_gp (between draws and codes) or r1 (at draws)
        penalty_weight: of the penalty
        spectral_norm: divides each of the discriminator's affine maps by its largest singular value
        smoothing: draws from the prior count as real with 1 - smoothing only
        lr: learning rate of the reconstruction phase
        lr_discriminator: learning rate of the discriminator
        lr_regularisation: learning rate of the encoder against the discriminator
        beta1: decay of the mean gradient in the Adam of the discriminator, and of the encoder against it

    Example:
        >>> aae = AAE(Image(1, 8, 8), latent=2, prior="swiss_roll")
        >>> x = torch.rand(5, 1, 8, 8)
        >>> aae.encode(x).shape, aae.sample(3).shape
        (torch.Size([5, 2]), torch.Size([3, 1, 8, 8]))
        >>> AAE(Image(1, 8, 8), latent=8, prior="swiss_roll")
        Traceback (most recent call last):
        pofx.errors.UserError: aae: prior swiss_roll lies in the plane: latent must be 2, not 8
    """

    paper: ClassVar = ("Makhzani et al.", 2015, "1511.05644")
    small: ClassVar = {"latent": 2, "hidden": (6,), "discriminator_hidden": (6,)}

    def __init__(
        self,
        x: Image | Binary | Vector,
        *,
        latent: Size = 8,
        prior: PriorName = "gaussian",
        components: Size = 10,
        posterior: PosteriorName = "deterministic",
        noise: Size = 16,
        body: Literal["mlp", "conv"] = "mlp",
        hidden: tuple[Size, ...] | None = None,
        activation: Activation | None = None,
        discriminator_hidden: tuple[Size, ...] = (1000, 1000),
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
        p = self.prior_of(prior, latent, components)
        if posterior == "gaussian" and isinstance(p, Joint):
            raise UserError(f"{self.title()}: a one-hot code is not Gaussian: with prior {prior} use posterior deterministic or universal")
        if body == "mlp":
            hidden, activation = (1000, 1000) if hidden is None else hidden, activation or "relu"
        encoder = Posterior(x, body, p, posterior, noise, hidden, activation)
        decoder = bodies.decoder(x, body, latent, hidden=hidden, activation=activation)
        self.play(x, p, encoder, decoder, {"code": perceptron(latent, *discriminator_hidden, 1)})

    def prior_of(self, name: str, latent: int, components: int) -> Prior:
        """The prior of that name, of `latent` numbers."""
        if name in ("mixture", "swiss_roll") and latent != 2:
            raise UserError(f"{self.title()}: prior {name} lies in the plane: latent must be 2, not {latent}")
        match name:
            case "mixture":
                return Ring(components)
            case "swiss_roll":
                return SwissRoll()
            case "categorical_gaussian":
                if latent <= components:
                    raise UserError(f"{self.title()}: one of {components} and a Gaussian need latent above {components}, not {latent}")
                return Joint({"y": Categorical(components), "z": Gaussian(latent - components)})
        return Uniform(latent) if name == "uniform" else Gaussian(latent)


class Posterior(nn.Module):
    """q(z | x).

    Args:
        x: what is encoded
        body: mlp or conv
        prior: of the codes; a categorical part of it is a softmax
        kind: deterministic, gaussian or universal
        noise: N, of a universal posterior; it meets x behind the body, before one more layer
        hidden: as in `pofx.layers.bodies.encoder`
        activation: likewise
    """

    def __init__(
        self,
        x: Kind,
        body: Literal["mlp", "conv"],
        prior: Prior,
        kind: PosteriorName,
        noise: int,
        hidden: tuple[int, ...] | None,
        activation: Activation | None,
    ):
        super().__init__()
        self.kind, self.noise = kind, noise
        self.simplex = prior.where("y") if isinstance(prior, Joint) else None
        Z = prior.dims
        U = hidden[-1] if hidden else 256
        outputs = {"deterministic": Z, "gaussian": 2 * Z, "universal": U}[kind]
        self.body = bodies.encoder(x, body, outputs, hidden=hidden, activation=activation)
        if kind == "universal":
            self.mixed = perceptron(U + noise, U, Z)

    def forward(self, x: Tensor, noise: Noise | None = None) -> Tensor:
        """One code for each x, (B, Z); without noise the mean, or the code of noise 0."""
        h_BU = self.body(x).to(x.dtype)
        if self.kind == "gaussian":
            z_BZ, log_std_BZ = h_BU.chunk(2, dim=1)
            if noise is not None:
                z_BZ = z_BZ + log_std_BZ.exp() * noise.normal(z_BZ.shape[1])
        elif self.kind == "universal":
            e_BN = h_BU.new_zeros(len(x), self.noise) if noise is None else noise.normal(self.noise)
            z_BZ = self.mixed(torch.cat([h_BU.relu(), e_BN], dim=1)).to(x.dtype)
        else:
            z_BZ = h_BU
        if self.simplex is None:
            return z_BZ
        y, z = z_BZ[:, self.simplex], z_BZ[:, self.simplex.stop :]
        return torch.cat([y.softmax(1), z], dim=1)
