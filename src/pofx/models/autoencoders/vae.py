"""The variational autoencoder.

What weighs the KL in training (beta, free bits, warm-up) is a part of the loss of its own, so that reconstruction and KL stay true nats.

Shapes: B examples, K samples of the code of each, Z latent dimensions, P parameters of the likelihood for each number of x.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from pofx.distributions.likelihoods import Bernoulli, Name
from pofx.distributions.likelihoods import likelihood as likelihood_of
from pofx.errors import UserError
from pofx.kinds import Binary, Image, Vector
from pofx.layers.bodies import Activation, decoder, encoder
from pofx.model import Model, unconditional
from pofx.options import Fraction, NonNegative, Positive, Size
from pofx.plan import Batch, Logged, Part
from pofx.randomness import Noise
from pofx.randomness import generator as generator_of

IN_CACHE = 1024  # codes at a time: their logits, for a picture of a thousand pixels, stay in the cache


class VAE(Model):
    """Variational autoencoder: a code z ~ N(0, 1), x ~ p(x | z) by the decoder, and an encoder q(z | x) = N(mean, std^2) beside it.

    log p(x) >= E_q log p(x | z) - KL(q(z | x) || p(z)), the evidence lower bound (ELBO), which training raises. More samples of z make a
    tighter bound (Burda et al.): log p(x) >= E log (1/K) sum_k p(x, z_k) / q(z_k | x).

    Pictures under a gaussian likelihood are dequantised in training; `log_prob` bounds log P of the whole levels
    (`pofx.distributions.likelihoods`).

    References:
        Auto-Encoding Variational Bayes (Kingma & Welling, 2013), arXiv 1312.6114
        Importance Weighted Autoencoders (Burda, Grosse & Salakhutdinov, 2015), arXiv 1509.00519: `samples`, active units
        beta-VAE (Higgins et al., 2017), OpenReview Sy2fzU9gl: `beta`
        Improving Variational Inference with Inverse Autoregressive Flow (Kingma et al., 2016), arXiv 1606.04934: `free_bits`
        Ladder Variational Autoencoders (Sonderby et al., 2016), arXiv 1602.02282: `kl_warmup`

    Args:
        x: pictures, bits or vectors
        latent: dimensions of the code
        body: of encoder and decoder: mlp, or conv for pictures
        hidden: units of each layer of the encoder (mlp), or channels after each halving of the picture and then units of a dense layer
            (conv), the decoder's in reverse; None: (200, 200) for mlp, (32, 64, 256) for conv
        activation: None: tanh for mlp, silu for conv
        likelihood: p(x | z); None: bernoulli for bits, logistic_mixture for pictures, gaussian for vectors
        components: of a logistic_mixture
        scale: standard deviation of a gaussian likelihood; None: learned, one for each number of x
        beta: weight of the KL in training
        free_bits: nats of KL in each latent dimension of an example that training does not charge for (the paper spares a batch's mean)
        kl_warmup: share of training over which the weight of the KL rises from 0
        samples: trains on the bound of so many samples of z (an IWAE when above 1)

    Example:
        >>> vae = VAE(Binary(1, 8, 8), latent=2)
        >>> x = torch.ones(3, 1, 8, 8)
        >>> vae.encode(x).shape, vae.sample(5).shape, vae.log_prob(x, samples=10).shape
        (torch.Size([3, 2]), torch.Size([5, 1, 8, 8]), torch.Size([3]))
    """

    paper: ClassVar = ("Kingma & Welling", 2013, "1312.6114")
    density: ClassVar = "bound"
    small: ClassVar = {"latent": 2, "hidden": (6,)}

    def __init__(
        self,
        x: Image | Binary | Vector,
        *,
        latent: Size = 16,
        body: Literal["mlp", "conv"] = "mlp",
        hidden: tuple[Size, ...] | None = None,
        activation: Activation | None = None,
        likelihood: Name | None = None,
        components: Size = 5,
        scale: Positive | None = None,
        beta: NonNegative = 1.0,
        free_bits: NonNegative = 0.0,
        kl_warmup: Fraction = 0.0,
        samples: Size = 1,
    ):
        super().__init__()
        self.plain = beta == 1 and free_bits == 0 and kl_warmup == 0
        if samples > 1 and not self.plain:
            raise UserError(
                "vae: the bound of several samples has no KL to weigh: remove beta, free_bits and kl_warmup, or set samples to 1"
            )
        self.shape, self.codes = x.shape, Vector(latent)
        self.beta, self.free_bits, self.kl_warmup, self.samples = beta, free_bits, kl_warmup, samples
        self.likelihood = likelihood_of(x, likelihood, components=components, scale=scale)
        self.encoder = encoder(x, body, 2 * latent, hidden=hidden, activation=activation)
        self.decoder = decoder(x, body, latent, per_element=self.likelihood.per_element, hidden=hidden, activation=activation)

    def q(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """q(z | x): mean and log standard deviation, (B, Z) each."""
        mean_BZ, log_std_BZ = self.encoder(x).to(x.dtype).chunk(2, dim=1)  # under autocast it is bfloat16
        return mean_BZ, log_std_BZ

    def loss(self, batch: Batch, noise: Noise) -> dict[str, Part]:
        """The negative bound: `reconstruction` + `kl` (+ `kl_weighting`, what beta, free bits and warm-up add to it), or `bound`; nats."""
        x = batch["x"]
        mean_BZ, log_std_BZ = self.q(x)
        kl_BZ = kl(mean_BZ, log_std_BZ)
        kl_B = kl_BZ.sum(1)
        K, B = self.samples, len(x)
        e_BKZ = noise.normal(K, self.codes.dims)
        u_BK = noise.uniform(K, *self.shape) if self.likelihood.dequantised else None
        z_BKZ = mean_BZ[:, None] + log_std_BZ.exp()[:, None] * e_BKZ
        log_px_BK = self.log_likelihood(x, z_BKZ, u_BK)
        if K > 1:
            bound_B = importance_weighted(log_px_BK, e_BKZ, z_BKZ, log_std_BZ)
            return {"bound": -bound_B, "reconstruction": Logged(-log_px_BK.detach().mean(1)), "kl": Logged(kl_B.detach())}
        parts: dict[str, Part] = {"reconstruction": -log_px_BK.view(B), "kl": kl_B}
        if not self.plain:
            weight = self.beta * (min(1.0, noise.progress / self.kl_warmup) if self.kl_warmup else 1.0)
            parts["kl_weighting"] = weight * kl_BZ.clamp(min=self.free_bits).sum(1) - kl_B
        return parts

    def log_likelihood(self, x: Tensor, z_BKZ: Tensor, u_BK: Tensor | None = None) -> Tensor:
        """log p(x | z) of x (B, *shape) under each of its K codes, (B, K)."""
        B, K, _ = z_BKZ.shape
        params_NP = self.decoder(z_BKZ.flatten(0, 1)).to(x.dtype)
        x_N = x[:, None].expand(B, K, *self.shape).flatten(0, 1)
        return self.likelihood.log_prob(params_NP, x_N, None if u_BK is None else u_BK.flatten(0, 1)).view(B, K)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """q(z | x): mean and standard deviation, (B, latent) each."""
        mean_BZ, log_std_BZ = self.q(x)
        return mean_BZ, log_std_BZ.exp()

    def encode(self, x: Tensor) -> Tensor:
        """The mean of q(z | x), (B, latent)."""
        return self.q(x)[0]

    def decode(self, z: Tensor) -> Tensor:
        """The mean of p(x | z) for codes (B, latent), (B, *shape)."""
        return self.likelihood.mean(self.decoder(z))

    @torch.no_grad()
    def sample(self, n: int, *, given: Tensor | None = None, generator: torch.Generator | None = None, draw: bool = False) -> Tensor:
        """`n` codes from the prior, decoded: (n, *shape).

        Args:
            n: how many
            given: None: the model is a p(x)
            generator: the source of randomness
            draw: draws x from p(x | z); otherwise its mean
        """
        unconditional(self, given)
        weight = next(self.parameters())
        z = torch.randn(n, self.codes.dims, generator=generator, device=weight.device, dtype=weight.dtype)
        return self.likelihood.draw(self.decoder(z), generator) if draw else self.decode(z)

    @torch.no_grad()
    def log_prob(
        self,
        x: Tensor,
        *,
        given: Tensor | None = None,
        samples: Size = 1,
        memory: Positive = 64.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """A lower bound on log p(x) in nats, (B,): the ELBO for one sample, the importance-weighted bound for more.

        Without a generator all examples share one noise, a function of `samples` and `latent` alone, so the value depends on no neighbour;
        with one, each example has noise of its own.

        Args:
            x: (B, *shape)
            given: None: the model is a p(x)
            samples: of z for each example
            memory: megabytes that the decoder's outputs may take at a time
            generator: the source of randomness
        """
        unconditional(self, given)
        K, Z = samples, self.codes.dims
        rows = max(1, int(memory * 2**20 / self.bytes_a_code(x)))
        mean_BZ, log_std_BZ = map(torch.cat, zip(*[self.q(x_B) for x_B in x.split(rows)], strict=True))

        def noise_KZ(source: torch.Generator) -> Tensor:
            return torch.randn(K, Z, generator=source, device=x.device, dtype=torch.float32).to(x.dtype)

        shared_KZ = noise_KZ(generator_of(("vae", K, Z), x.device))
        bounds = []
        for b in range(0, len(x), max(1, rows // K)):  # several examples at a time, or one whose samples are cut
            block = slice(b, b + max(1, rows // K))
            x_B, mean_B1Z, log_std_B1Z = x[block], mean_BZ[block, None], log_std_BZ[block, None]
            e_BKZ = torch.stack([shared_KZ if generator is None else noise_KZ(generator) for _ in x_B])
            z_BKZ = mean_B1Z + log_std_B1Z.exp() * e_BKZ
            log_px_BK = self._log_px(x_B, z_BKZ, rows)
            if K == 1:
                bounds.append(log_px_BK.squeeze(1) - kl(mean_B1Z, log_std_B1Z).sum((1, 2)))
            else:
                bounds.append(importance_weighted(log_px_BK, e_BKZ, z_BKZ, log_std_B1Z.squeeze(1)))
        return torch.cat(bounds) if bounds else x.new_empty(0)

    def _log_px(self, x: Tensor, z_BKZ: Tensor, rows: int) -> Tensor:
        """log p(x | z) as in `log_likelihood`, of so many codes at a time as `rows` says."""
        K, features, last = z_BKZ.shape[1], self.decoder.get_submodule("features"), self.decoder.get_submodule("last")
        if isinstance(self.likelihood, Bernoulli) and isinstance(last, nn.Linear) and K >= 32 and bool(((x == 0) | (x == 1)).all()):
            log_px = []
            for x_D, z_KZ in zip(x.flatten(1), z_BKZ, strict=True):
                log_px_D = self.likelihood.log_prob_of_features(last.weight, last.bias, x_D)
                log_px.append(torch.cat([log_px_D(features(z_NZ)) for z_NZ in z_KZ.split(min(rows, IN_CACHE))]))
            return torch.stack(log_px)
        return torch.cat([self.log_likelihood(x, z_BNZ) for z_BNZ in z_BKZ.split(rows, dim=1)], dim=1)

    def bytes_a_code(self, x: Tensor) -> int:
        """What one code's way through decoder and likelihood takes at the most: every layer's output, and a few of the last one's size."""
        numbers: list[int] = []
        layers = [layer for layer in self.decoder.modules() if not list(layer.children())]
        hooks = [layer.register_forward_hook(lambda layer, inputs, output: numbers.append(output.numel())) for layer in layers]
        self.decoder(x.new_zeros(1, self.codes.dims))
        for hook in hooks:
            hook.remove()
        return x.element_size() * (sum(numbers) + 4 * numbers[-1])


def importance_weighted(log_px_BK: Tensor, e_BKZ: Tensor, z_BKZ: Tensor, log_std_BZ: Tensor) -> Tensor:
    """log (1/K) sum_k p(x, z_k) / q(z_k | x), (B,), for z = mean + std e."""
    # log p(z) - log q(z | x): the constants of the two Gaussians cancel
    log_ratio_BK = 0.5 * (e_BKZ.square() - z_BKZ.square()).sum(2) + log_std_BZ.sum(1, keepdim=True)
    return torch.logsumexp(log_px_BK + log_ratio_BK, 1) - math.log(log_px_BK.shape[1])


def kl(mean_BZ: Tensor, log_std_BZ: Tensor) -> Tensor:
    """KL(N(mean, std^2) || N(0, 1)) of each dimension, in nats."""
    return 0.5 * (mean_BZ.square() + (2 * log_std_BZ).exp() - 1) - log_std_BZ
