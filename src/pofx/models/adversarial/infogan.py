"""The generative adversarial network whose generator keeps the information in its codes.

Shapes: B examples, C channels, H and W height and width, d numbers in z, K classes of a categorical code, Q numbers that the recognition
network gives.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor, nn

from pofx import renamed
from pofx.bases.gan import LOSSES, Adversarial, discriminator_loss
from pofx.distributions.priors import Categorical, Gaussian, Joint, Prior, Uniform
from pofx.errors import UserError
from pofx.kinds import Binary, Image, Vector
from pofx.options import Count, Fraction, NonNegative, Positive, Range, Size
from pofx.plan import Batch, Logged, Part
from pofx.randomness import Noise

LEAST = -5.0  # of the log standard deviations: a continuous code that is told exactly would have no bound


class InfoGAN(Adversarial):
    """A GAN whose generator takes codes c beside its noise, and plays so that c can be told from what it makes: x = G(noise, c).

    min_{G, Q} max_D  V(D, G) - lambda L_I(G, Q),    L_I(G, Q) = E_{c, x ~ G(noise, c)} log Q(c | x) + H(c)  <=  I(c; G(noise, c))

    The codes c1, c2, ... are independent: first the categorical ones, then the uniform ones, then the Gaussian ones. Q(c | x) is a product:
    a softmax for each categorical code, a Gaussian for each other; it shares the discriminator's body. L_I is at most H(c), in nats, for a
    categorical code. Both players lower their own loss minus lambda L_I: the discriminator's side moves D and Q, the generator's G.

    The networks are those of the paper's MNIST experiment, with as many halvings of the picture as `hidden` has numbers. They normalise by
    the statistics of a batch, the discriminator real and generated x apart; a bias before a normalisation would have no effect and is left
    out.

    References:
        InfoGAN: Interpretable Representation Learning by Information Maximizing Generative Adversarial Nets (Chen et al., 2016),
        arXiv 1606.03657, appendix C.1
        random affine maps: Differentiable Augmentation for Data-Efficient GAN Training (Zhao, Liu, Lin, Zhu & Han, 2020), arXiv 2006.10738
        little noise: ClusterGAN: Latent Space Clustering in Generative Adversarial Networks (Mukherjee et al., 2019), arXiv 1809.03627

    Args:
        x: pictures, or bits in the shape of pictures
        categorical: classes of each categorical code
        uniform: how many codes are uniform on [-1, 1)
        gaussian: how many codes are N(0, 1)
        latent: numbers of noise in z
        noise_std: standard deviation of the noise; beside much noise a code is a small part of z, and what x is most about is left to the
            noise (Mukherjee et al., 2019, take 0.1)
        hidden: channels after each halving of the picture in the discriminator; the generator's in reverse
        dense: units of the dense layer of each network
        recognition: units of Q's own layer
        weight_categorical: lambda of the categorical codes
        weight_continuous: lambda of the others
        loss: minimax; non_saturating, where the generator raises log D(G(z)) instead; hinge; least_squares
        discriminator_augment: standard deviation of the random affine map through which the discriminator sees each picture, real or
            generated, so that codes are less about such maps
        smoothing: real x count as real with 1 - smoothing only
        spectral_norm: divides each affine map of body and score by its largest singular value; the body then is without batch
            normalisation, which would rescale it
        lr_generator: learning rate of the generator
        lr_discriminator: learning rate of discriminator and Q
        beta1: decay of the mean gradient in both players' Adam

    Example:
        >>> infogan = InfoGAN(Image(1, 8, 8), categorical=(10,), uniform=2, latent=4)
        >>> list(infogan.prior.parts), infogan.prior.dims
        (['noise', 'c1', 'c2', 'c3'], 16)
        >>> infogan.cluster(infogan.sample(5)).shape
        torch.Size([5])
    """

    paper: ClassVar = ("Chen et al.", 2016, "1606.03657")
    small: ClassVar = {"categorical": (3, 2), "uniform": 1, "gaussian": 1, "latent": 3, "hidden": (2, 3), "dense": 6, "recognition": 5}

    prior: Joint
    discriminator: Discriminator

    def __init__(
        self,
        x: Image | Binary,
        *,
        categorical: tuple[Annotated[int, Range(2)], ...] = (10,),
        uniform: Count = 2,
        gaussian: Count = 0,
        latent: Size = 62,
        noise_std: Positive = 1.0,
        hidden: tuple[Size, ...] = (64, 128),
        dense: Size = 1024,
        recognition: Size = 128,
        weight_categorical: NonNegative = 1.0,
        weight_continuous: NonNegative = 0.1,
        loss: Literal["minimax", "non_saturating", "hinge", "least_squares"] = "non_saturating",
        discriminator_augment: NonNegative = 0.0,
        smoothing: Fraction = 0.0,
        spectral_norm: bool = False,
        lr_generator: Positive = 1e-3,
        lr_discriminator: Positive = 2e-4,
        beta1: Fraction = 0.5,
    ):
        super().__init__()
        if len(x.shape) != 3:
            raise UserError(f"infogan needs pictures (channels, height, width), not x of shape {x.shape}: gan takes other shapes")
        if not hidden:
            raise UserError("infogan needs channels in hidden, such as 64 128")
        if min(x.shape[1:]) >> len(hidden) == 0:
            raise UserError(f"pictures of {x.shape[1]}x{x.shape[2]} cannot be halved {len(hidden)} times: give fewer numbers in hidden")
        codes: list[Prior] = [
            *map(Categorical, categorical),
            *(Uniform(1) for _ in range(uniform)),
            *(Gaussian(1) for _ in range(gaussian)),
        ]
        if not codes:
            raise UserError("infogan needs a code to keep: give categorical, uniform or gaussian, or use dcgan, which has none")
        self.c = {f"c{i}": code for i, code in enumerate(codes, 1)}
        self.clusters = categorical[0] if categorical else 0
        self.codes = Vector(sum(code.dims for code in codes))
        self.play(
            x,
            Joint({"noise": Gaussian(latent, noise_std)} | self.c),
            generator(latent + self.codes.dims, x.shape, hidden, dense),
            Discriminator(x.shape, hidden, dense, recognition, sum(map(outputs, codes)), normalised=not spectral_norm),
        )

    def bounded(self) -> list[nn.Module]:
        return [self.discriminator.body, self.discriminator.score]  # Q may be as sure as it likes

    def discriminator_loss(self, batch: Batch, noise: Noise) -> dict[str, Part]:
        """The discriminator tells real x from generated ones, and Q tells the codes of the generated ones."""
        x, z_Bd = batch["x"], self.prior.draw(noise)
        with torch.no_grad():
            fake = self.generate(z_Bd)
        real_B = self.scores(self.discriminator_augment(x, noise), noise)
        fake_B, q_BQ = self.discriminator.score_and_recognise(self.discriminator_augment(fake, noise), x.dtype)
        return discriminator_loss(self.rules, real_B, fake_B) | {"information": -self.weighted(self.mutual_information_bound(z_Bd, q_BQ))}

    def generator_loss(self, batch: Batch, noise: Noise) -> dict[str, Part]:
        """The generator is to have its x taken for real, and its codes told; L_I of each code stands beside the entropy that bounds it."""
        z_Bd = self.prior.draw(noise)
        fake_B, q_BQ = self.discriminator.score_and_recognise(self.discriminator_augment(self.generate(z_Bd), noise), noise.dtype)
        information = self.mutual_information_bound(z_Bd, q_BQ)
        parts: dict[str, Part] = renamed.Parts(
            {"adversarial": LOSSES[self.rules.loss].generator(fake_B), "information": -self.weighted(information)}
        )
        for name, L_B in information.items():
            parts |= {f"L_I_{name}": Logged(L_B), f"H_{name}": Logged(torch.full_like(L_B, entropy(self.c[name])))}
        return parts

    def mutual_information_bound(self, z_Bd: Tensor, q_BQ: Tensor) -> dict[str, Tensor]:
        """log Q(c | x) + H(c) of each code, in nats, name -> (B,), by what Q gives of x = G(z)."""
        c, q = self.prior.split(z_Bd), self.recognition(q_BQ)
        return {name: log_q(code, c[name], q[name]) + entropy(code) for name, code in self.c.items()}

    def information(self, z: Tensor) -> dict[str, Tensor]:
        """log Q(c | G(z)) + H(c) of each code in z (B, d), in nats: name -> (B,). Their means over the prior are L_I."""
        return self.mutual_information_bound(z, self.discriminator.score_and_recognise(self.generator(z), z.dtype)[1])

    def weighted(self, information: dict[str, Tensor]) -> Tensor:
        """lambda L_I, (B,)."""
        discrete, continuous = self.config["weight_categorical"], self.config["weight_continuous"]
        weights = [discrete if isinstance(code, Categorical) else continuous for code in self.c.values()]
        return torch.stack([weight * information[name] for weight, name in zip(weights, self.c, strict=True)]).sum(0)

    def recognition(self, q_BQ: Tensor) -> dict[str, Tensor]:
        """What Q gives, by codes: K logits for a categorical one, mean and log standard deviation for each other."""
        return dict(zip(self.c, q_BQ.split([outputs(code) for code in self.c.values()], dim=1), strict=True))

    def encode(self, x: Tensor) -> Tensor:
        """The codes that Q tells of x (B, C, H, W): probabilities of the classes of each categorical code, means of the others, (B, d)."""
        _, q_BQ = self.discriminator.score_and_recognise(x, x.dtype)
        q = self.recognition(q_BQ)
        return torch.cat([q[name].softmax(1) if isinstance(code, Categorical) else q[name][:, :1] for name, code in self.c.items()], 1)

    def memberships(self, x: Tensor) -> Tensor:
        """Q(c1 | x): the probability of each class of the first categorical code, (B, K)."""
        if not self.clusters:
            raise UserError("this infogan has no categorical code to cluster by: train one with categorical, such as 10")
        return self.encode(x)[:, : self.clusters]

    def cluster(self, x: Tensor) -> Tensor:
        """The likeliest class of the first categorical code, int64 (B,)."""
        return self.memberships(x).argmax(1)


def generator(inputs: int, shape: tuple[int, ...], hidden: tuple[int, ...], dense: int) -> nn.Sequential:
    """z (B, d) to pictures (B, C, H, W) of numbers in [0, 1]."""
    (C, H, W), halvings = shape, len(hidden)
    smallest = (hidden[-1], H >> halvings, W >> halvings)
    layers: list[nn.Module] = []
    for a, b in pairwise((inputs, dense, math.prod(smallest))):
        layers += [nn.Linear(a, b, bias=False), nn.BatchNorm1d(b), nn.ReLU()]
    layers.append(nn.Unflatten(1, smallest))
    for i, (a, b) in enumerate(pairwise((*hidden[::-1], C)), start=1):
        odd = (H >> halvings - i) % 2, (W >> halvings - i) % 2  # what a halving left over
        layers.append(nn.ConvTranspose2d(a, b, 4, stride=2, padding=1, output_padding=odd, bias=i == halvings))
        if i < halvings:
            layers += [nn.BatchNorm2d(b), nn.ReLU()]
    return nn.Sequential(*layers, nn.Sigmoid())


class Discriminator(nn.Module):
    """A body, and two heads on it: D's score, and what Q says of the codes.

    Args:
        shape: of the pictures
        hidden: channels after each halving
        dense: units of the body's last layer
        recognition: units of Q's own layer
        codes: numbers that Q gives
        normalised: with batch normalisation in the body
    """

    def __init__(self, shape: tuple[int, ...], hidden: tuple[int, ...], dense: int, recognition: int, codes: int, *, normalised: bool):
        super().__init__()
        C, H, W = shape
        layers: list[nn.Module] = [nn.Conv2d(C, hidden[0], 4, stride=2, padding=1), nn.LeakyReLU(0.1)]
        for a, b in pairwise(hidden):
            norm = [nn.BatchNorm2d(b)] * normalised
            layers += [nn.Conv2d(a, b, 4, stride=2, padding=1, bias=not norm), *norm, nn.LeakyReLU(0.1)]
        smallest = hidden[-1] * (H >> len(hidden)) * (W >> len(hidden))
        norm_1d = [nn.BatchNorm1d(dense)] * normalised
        layers += [nn.Flatten(), nn.Linear(smallest, dense, bias=not norm_1d), *norm_1d, nn.LeakyReLU(0.1)]
        self.body = nn.Sequential(*layers)
        self.score = nn.Linear(dense, 1)
        self.recognise = nn.Sequential(
            nn.Linear(dense, recognition, bias=False), nn.BatchNorm1d(recognition), nn.LeakyReLU(0.1), nn.Linear(recognition, codes)
        )

    def forward(self, x: Tensor) -> Tensor:
        """D's scores of x (B, C, H, W), (B, 1)."""
        return self.score(self.body(x))

    def score_and_recognise(self, x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """D's scores of x, (B,), and what Q gives, (B, Q), in one pass over the body; both of `dtype`, whatever the layers computed in."""
        h_BU = self.body(x)
        return self.score(h_BU).squeeze(1).to(dtype), self.recognise(h_BU).to(dtype)


def outputs(code: Prior) -> int:
    """Numbers that Q gives for a code: its logits, or mean and log standard deviation."""
    return code.dims if isinstance(code, Categorical) else 2


def entropy(code: Prior) -> float:
    """H(c) in nats; of a continuous code, its differential entropy.

    Example:
        >>> round(entropy(Categorical(10)), 3), round(entropy(Uniform(1)), 3), round(entropy(Gaussian(1)), 3)
        (2.303, 0.693, 1.419)
    """
    if isinstance(code, Categorical):
        return math.log(code.dims)
    if isinstance(code, Uniform):
        return math.log(2)
    assert isinstance(code, Gaussian)
    return 0.5 * math.log(2 * math.pi * math.e) + math.log(code.std)


def log_q(code: Prior, c: Tensor, q: Tensor) -> Tensor:
    """log Q(c | x) in nats, (B,), of codes c (B, K) or (B, 1) by what Q gives for them, `q`."""
    if isinstance(code, Categorical):
        return (c * q.log_softmax(1)).sum(1)
    mean_B, log_std_B = q.unbind(1)
    log_std_B = log_std_B.clamp(min=LEAST)
    return -0.5 * ((c[:, 0] - mean_B) / log_std_B.exp()) ** 2 - log_std_B - 0.5 * math.log(2 * math.pi)


__getattr__ = renamed.stayed(__name__)  # names that are called otherwise now, or are elsewhere
