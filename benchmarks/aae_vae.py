"""Adversarial and variational autoencoder on one network and as many epochs, three seeds: samples, and how codes match the prior."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from benchmarks.protocol import machine
from benchmarks.rows import Row
from benchmarks.training import middle, processor_seconds, protocol_of, trained
from pofx.capabilities import Encodes, HasPosterior, can, require
from pofx.data import load, reload
from pofx.distributions.priors import Gaussian
from pofx.evaluate.features import network
from pofx.inference.sampling import draw
from pofx.metrics.frechet import frechet_distance
from pofx.metrics.sliced import sliced_wasserstein
from pofx.model import Model
from pofx.randomness import generator

SEEDS, N = (0, 1, 2), 10_000
MODELS = {"aae": "AAE", "vae": "VAE"}
SAMPLES = {name: f"{title}, MNIST: frechet of 10,000 samples to the test split, median of three seeds" for name, title in MODELS.items()}
CODES = {
    name: f"{title}, MNIST test: sliced Wasserstein of codes to draws from the prior, median of three" for name, title in MODELS.items()
}
REAL = "MNIST: frechet of 10,000 training pictures to the test split"
PRIOR = "sliced Wasserstein of draws from the prior to others"
ROWS = [
    *(Row(what, "squared distance") for what in SAMPLES.values()),
    Row(REAL, "squared distance"),
    *(Row(what, "standard deviations") for what in CODES.values()),
    Row(PRIOR, "standard deviations"),
]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    features = network(trained("features_mnist").model())
    pictures = load("mnist")
    real, train = (features(pictures.splits[name].read(range(N))["x"]) for name in ("test", "train"))
    about = {"features": features.record(), "rows": N, "draws": N}
    distance: dict[str, dict[int, float]] = {name: {} for name in MODELS}
    match: dict[str, dict[int, float]] = {name: {} for name in MODELS}
    frechet_of_codes: dict[str, dict[int, float]] = {name: {} for name in MODELS}
    protocol: dict[tuple[str, int], dict[str, Any]] = {}
    for name in MODELS:
        for seed in SEEDS:
            run = trained(f"{name}_side_by_side_{seed}")
            model = run.model()
            x = reload(run.config["data"]).splits["test"].read(range(N))["x"]
            z, p = codes(model, x, seed), prior(model, seed)
            distance[name][seed] = frechet_distance(real, features(draw(model, N, seed=seed)))
            match[name][seed], frechet_of_codes[name][seed] = sliced_wasserstein(z, p), frechet_distance(z, p)
            protocol[name, seed] = {"training_processor_seconds": processor_seconds(run), **protocol_of(run)}
            print(f"{name}, seed {seed}: frechet {distance[name][seed]:.2f}, codes {match[name][seed]:.4f}", flush=True)
    for found, what in ((distance, SAMPLES), (match, CODES)):
        for name in MODELS:
            median = middle(found[name])
            more = {"frechet_of_codes": frechet_of_codes[name]} if found is match else about
            yield what[name], found[name][median], protocol[name, median] | {"seeds": found[name]} | more
    yield REAL, frechet_distance(real, train), about | machine()
    one, other = prior(model, 3), prior(model, 4)
    yield PRIOR, sliced_wasserstein(one, other), {"draws": N, "frechet": frechet_distance(one, other), **machine()}


def codes(model: Model, x: torch.Tensor, seed: int) -> Any:
    """One draw from q(z | x) for each x: the code, where it is one, or mean + std e, float64 (B, d)."""
    with torch.no_grad():
        if not can(model, HasPosterior):
            return require(model, Encodes).encode(x).double().numpy()
        mean, std = model.posterior(x)
        return (mean + std * torch.randn(mean.shape, generator=generator(("codes", seed)))).double().numpy()


def prior(model: Model, seed: int) -> Any:
    """As many draws from the prior, N(0, 1), float64 (B, d)."""
    return Gaussian(require(model, Encodes).codes.size).sample(N, torch.zeros(()), generator(("prior", seed))).double().numpy()
