"""log p(x) of decoders and generators by annealed importance sampling: what a model says x is, given a code, and the scores that follow.

Shapes: B examples, C codes of each, N = B C, d normal numbers that a code is a function of, D numbers in one x, *shape one x.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pofx.capabilities import Generates, HasLatentLikelihood, Samples, can
from pofx.data.blocks import Progress, chosen_rows, rows_record
from pofx.errors import UserError
from pofx.evaluate.protocol import Score, environment, mean_score
from pofx.metrics.annealing import Annealing
from pofx.model import Model, device_of, evaluating
from pofx.randomness import Noise, generator

EXAMPLES = 10  # whose chains go together, and share a source of noise
SURE = 1e-6  # a generator's bits are 1 with a probability that is kept so far from 0 and 1


@dataclass(frozen=True)
class Decoder:
    """p(x | z), for z ~ N(0, 1).

    Args:
        d: dimensions of z
        log_px: (x (B, *shape), z float64 (B, C, d)) -> nats, float64 (B, C)
        draw: z (B, d) and a source of randomness -> x drawn from p(x | z), (B, *shape)
        mean: z float64 (N, d) -> the mean of x, (N, *shape)
        observed: what p(x | z) is, in words
        sigma: standard deviation of the noise that a generator's x were given here; None where p(x | z) is the model's own
        is_own: whether p(x | z) is the model's own
    """

    d: int
    log_px: Callable[[Tensor, Tensor], Tensor]
    draw: Callable[[Tensor, torch.Generator], Tensor]
    mean: Callable[[Tensor], Tensor]
    observed: str
    sigma: float | None = None
    is_own: bool = False


class Read(Noise):
    """Noise that is read off normal numbers u (N, n), column after column: what a prior draws of it is a function of them."""

    def __init__(self, u_Nn: Tensor):
        super().__init__((), slice(0, len(u_Nn)), len(u_Nn), device=u_Nn.device, dtype=u_Nn.dtype)
        self.u, self.used = u_Nn, 0

    def normal(self, *shape: int) -> Tensor:
        start, self.used = self.used, self.used + math.prod(shape)
        return self.u[:, start : self.used].reshape(-1, *shape)

    def uniform(self, *shape: int) -> Tensor:
        return torch.special.ndtr(self.normal(*shape))

    def integers(self, high: int, *shape: int) -> Tensor:
        return (high * self.uniform(*shape)).long().clamp(max=high - 1)


def decoder_of(model: Model, sigma: float | None = None) -> Decoder:
    """What a model says x is, given a code.

    A model with `log_likelihood(x, z)` says it itself, such as a VAE. A model that generates does not, and has no density: it is given
    noise, which makes another model of it. Its pictures and numbers are given Gaussian noise; its bits are drawn with the probabilities
    that it gives. Codes of any prior are functions of normal numbers, those that the prior reads as its noise; where it chooses a class
    the function jumps, which costs chains time and nothing else.

    Args:
        model: such a model, in evaluation mode
        sigma: standard deviation of the Gaussian noise that a generator is given, in the units of x

    Raises:
        UserError: a model of neither sort; a sigma where there is no place for one, or none where it is needed
    """
    if can(model, HasLatentLikelihood):
        if sigma is not None:
            raise UserError(f"{model.title()} has a p(x | z) of its own: remove sigma")
        return _own(model)
    if not (can(model, Generates) and can(model, Samples)):
        raise UserError(f"{model.title()} makes no x of a code z ~ p(z): annealing is for models that generate, and for vae")
    device, dtype = device_of(model), next((weight.dtype for weight in model.parameters()), torch.float32)
    count = Read(torch.zeros(1, 1).expand(1, 10**9))
    model.prior.draw(count)

    def mean(u_Nd: Tensor) -> Tensor:
        return model.generate(model.prior.draw(Read(u_Nd)).to(dtype))

    def means(x: Tensor, u_BCd: Tensor) -> Tensor:
        return mean(u_BCd.flatten(0, 1)).double().view(*u_BCd.shape[:2], *x.shape[1:])

    if _bits(model):
        if sigma is not None:
            raise UserError(f"{model.title()} makes bits, which are drawn with the probabilities that it gives: remove sigma")

        def log_mass(x: Tensor, u_BCd: Tensor) -> Tensor:
            p_BC = means(x, u_BCd).clamp(SURE, 1 - SURE)
            return -F.binary_cross_entropy(p_BC, x.double()[:, None].expand_as(p_BC), reduction="none").flatten(2).sum(2)

        def bits(u_Bd: Tensor, noise: torch.Generator) -> Tensor:
            return torch.bernoulli(mean(u_Bd).clamp(SURE, 1 - SURE), generator=noise)

        return Decoder(count.used, log_mass, bits, mean, "bits, each 1 with the probability that the generator gives")
    if sigma is None or not (math.isfinite(sigma) and sigma > 0):
        raise UserError(f"sigma, the noise that {model.title()} is given, must be above 0, not {sigma}")

    def log_density(x: Tensor, u_BCd: Tensor) -> Tensor:
        square_BC = (means(x, u_BCd) - x.double()[:, None]).square().flatten(2)
        return -0.5 * square_BC.sum(2) / sigma**2 - square_BC.shape[2] * math.log(sigma * math.sqrt(2 * math.pi))

    def noisy(u_Bd: Tensor, noise: torch.Generator) -> Tensor:
        x = mean(u_Bd)
        return x + sigma * torch.randn(x.shape, generator=noise, device=device, dtype=x.dtype)

    return Decoder(count.used, log_density, noisy, mean, f"the generator's x with Gaussian noise of sd {sigma:.6g}", sigma)


def _own(model: Any) -> Decoder:
    weight = next(model.parameters())

    def log_px(x: Tensor, z_BCd: Tensor) -> Tensor:
        return model.log_likelihood(x, z_BCd.to(weight.dtype)).double()

    def draw(z_Bd: Tensor, noise: torch.Generator) -> Tensor:
        return model.likelihood.draw(model.decoder(z_Bd.to(weight.dtype)), noise)

    def mean(z_Nd: Tensor) -> Tensor:
        return model.decode(z_Nd.to(weight.dtype))

    return Decoder(model.codes.dims, log_px, draw, mean, "the model's own", is_own=True)


def _bits(model: Model) -> bool:
    return model.inputs["x"].likelihood == "bernoulli"


def fitted_sigma(model: Model, x: Tensor, *, annealing: Annealing | None = None, seed: int = 0) -> float:
    """The noise under which x are likeliest of a generator to which it is added, to three digits.

    By expectation-maximisation: codes from p(z | x) by annealing under the sigma so far, and then the root of the mean squared distance of
    x from what the generator makes of them; until it moves by less than 2 %, ten times at most.

    Args:
        model: one that generates pictures or numbers
        x: validation rows (B, *shape); never those that are scored afterwards
        annealing: by default with 4 chains and 200 temperatures
        seed: of the chains
    """
    annealing = annealing or Annealing(chains=4, temperatures=200)
    with evaluating(model):
        x = x.to(device_of(model))
        decoder = decoder_of(model, 1.0)
        start = decoder.mean(torch.randn(200, decoder.d, generator=generator(("sigma", seed)), dtype=torch.float64).to(x.device)).double()
        sigma = float((x.double() - start.mean(0)).square().mean().sqrt())
        for round_ in range(10):
            decoder = decoder_of(model, sigma)
            found = annealing.log_prob(decoder.log_px, x, decoder.d, generator(("sigma", seed, round_), x.device))
            mean = decoder.mean(found.z.flatten(0, 1)).double().view(*found.z.shape[:2], -1)
            square_BC = (mean - x.double().flatten(1)[:, None]).square().mean(2)
            last, sigma = sigma, float((found.log_weights.softmax(1) * square_BC).sum(1).mean().sqrt())
            if not sigma > 1e-9:
                raise UserError(f"{model.title()} makes every one of these x exactly, so that no sigma is small enough: pass a sigma")
            if abs(sigma / last - 1) < 0.02:
                break
    return float(f"{sigma:.3g}")


def annealed_scores(
    model: Model,
    split: Any,
    *,
    rows: int | np.ndarray = 10,
    sigma: float | None = None,
    valid: Any = None,
    annealing: Annealing | None = None,
    simulated: int = 10,
    seed: int = 0,
    about: dict[str, Any] | None = None,
    progress: Progress | None = None,
) -> list[Score]:
    """Mean log p(x) by annealed importance sampling, and how far bounds from both sides are apart on x that the model made itself.

    Ten examples at a time, with noise that is a function of (seed, number of the first).

    Args:
        model: one with `log_likelihood(x, z)`, or one that generates
        split: whose x are scored
        rows: so many from the first, or their numbers
        sigma: noise that a generator of pictures or numbers is given, in the units of x; None: fitted on as many rows of `valid`, with at
            most 4 chains and a fifth of the temperatures
        valid: the validation split
        annealing: chains, temperatures and the like
        simulated: x to close the sandwich on; with 0 there is no second score
        seed: of the chains
        about: what the caller knows of the data and the weights, stored in the protocol
        progress: called with (tens done, tens in all), of rows and of simulated x

    References:
        On the Quantitative Analysis of Decoder-Based Generative Models (Wu, Burda, Salakhutdinov & Grosse, 2017), arXiv 1611.04273
    """
    annealing, chosen, fitted = annealing or Annealing(), chosen_rows(split, rows), None
    if sigma is None and not can(model, HasLatentLikelihood) and not _bits(model) and valid is not None:
        held_out = np.arange(min(len(chosen), len(valid)))
        quick = replace(annealing, chains=min(4, annealing.chains), temperatures=-(-annealing.temperatures // 5))
        fitted = sigma = fitted_sigma(model, valid.read(held_out)["x"], annealing=quick, seed=seed)
    done, total = 0, -(-len(chosen) // EXAMPLES) + -(-simulated // EXAMPLES)
    with evaluating(model):
        decoder, device = decoder_of(model, sigma), device_of(model)
        log_p: list[float] = []
        accepted: list[float] = []
        for start in range(0, len(chosen), EXAMPLES):
            x = split.read(chosen[start : start + EXAMPLES])["x"].to(device)
            found = annealing.log_prob(decoder.log_px, x, decoder.d, generator(("annealed", seed, start), device))
            log_p += found.log_mean.tolist()
            accepted += found.accepted.tolist()
            done += 1
            if progress is not None:
                progress(done, total)
        gaps: list[float] = []
        for start in range(0, simulated, EXAMPLES):
            noise = generator(("simulated", seed, start), device)
            z_Bd = torch.randn(min(EXAMPLES, simulated - start), decoder.d, generator=noise, device=device, dtype=torch.float64)
            lower_B, upper_B = annealing.sandwich(decoder.log_px, decoder.draw(z_Bd, noise), z_Bd, noise)
            gaps += (upper_B - lower_B).tolist()
            done += 1
            if progress is not None:
                progress(done, total)
    noise_protocol = {} if decoder.sigma is None else {"sigma": decoder.sigma, "sigma fitted": fitted is not None}
    protocol = {
        **(about or {}),
        **rows_record(chosen),
        "p(x | z)": decoder.observed,
        **noise_protocol,
        "annealing": asdict(annealing),
        "seed": seed,
        "chosen": {"accepted": round(float(np.mean(accepted)), 3)},
        **environment(model),
    }
    what = "log p, annealed importance sampling" + ("" if decoder.sigma is None else f", sigma={decoder.sigma:g}")
    note = None
    if not decoder.is_own:
        note = f"{model.title()} has no density: this is the log p of another model, {decoder.observed}"
    scores = [replace(mean_score(f"{what}, lower bound in expectation", np.array(log_p), "nats per example", protocol), note=note)]
    if simulated > 1:
        gap = mean_score(f"{what}: upper minus lower bound on simulated x", np.array(gaps), "nats", protocol | {"simulated": simulated})
        scores.append(gap)
    return scores
