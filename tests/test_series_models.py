"""Autoregressive models of sequences: least squares, joint Gaussians written out, and densities in the units of the data."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from torch.testing import assert_close

from pofx.data import Column, Data, Split, load
from pofx.errors import UserError
from pofx.kinds import Series
from pofx.models.autoregressive.series_ar import LARGEST, SeriesAR
from pofx.models.autoregressive.series_latent import SeriesLatent
from pofx.models.autoregressive.series_markov import SeriesMarkov
from pofx.randomness import generator
from pofx.train import Training
from pofx.train.loop import Trainer

T, C, TAU = 7, 3, 2


def var(n: int = 600) -> torch.Tensor:
    """A vector autoregression of order 2 with correlated noise, in units and of means that differ between the channels: (n, C)."""
    numbers = np.random.default_rng(0)
    A1, A2 = 0.5 * np.eye(C) + 0.1 * numbers.standard_normal((C, C)), -0.3 * np.eye(C)
    root = np.array([[1, 0, 0], [0.8, 0.6, 0], [-0.5, 0.2, 0.7]])
    x = np.zeros((n + 50, C))
    for t in range(2, n + 50):
        x[t] = A1 @ x[t - 1] + A2 @ x[t - 2] + root @ numbers.standard_normal(C)
    return torch.from_numpy(x[50:] * [1.0, 30.0, 0.002] + [5.0, 100.0, -0.01])


def windows(x_NC: torch.Tensor, length: int = T, stride: int = 1) -> torch.Tensor:
    return x_NC.unfold(0, length, stride).transpose(1, 2).contiguous()


def closed(x_BTC: torch.Tensor, tau: int = TAU, model: type[SeriesAR] = SeriesAR, cut: int = 97, **arguments) -> SeriesAR:
    """A model solved from sums over batches of uneven size, in float64."""
    _, length, channels = x_BTC.shape
    ar = model(Series(length, channels), **({"tau": tau} if model is SeriesAR else {}), **arguments).double()
    sums: dict[str, torch.Tensor] = {}
    for part in x_BTC.split(cut):
        for name, value in ar.statistics({"x": part}).items():
            sums[name] = sums.get(name, 0) + value
    ar.solve(sums)
    return ar


def least_squares(x_BTC: torch.Tensor, tau: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A (tau, C, C), c (C,) and the residuals' covariance (C, C) by numpy.linalg.lstsq over all steps that have tau before them."""
    x = x_BTC.numpy()
    _, length, channels = x.shape
    targets = x[:, tau:].reshape(-1, channels)
    lags = [x[:, tau - k : length - k].reshape(-1, channels) for k in range(1, tau + 1)]
    design = np.concatenate([np.ones((len(targets), 1)), *lags], 1)
    solution, *_ = np.linalg.lstsq(design, targets, rcond=None)
    residual = targets - design @ solution
    return solution[1:].reshape(tau, channels, channels).transpose(0, 2, 1), solution[0], residual.T @ residual / len(targets)


def gaussian_of(ar: SeriesAR, x_BTC: torch.Tensor) -> multivariate_normal:
    """The joint Gaussian of a whole example: its first tau steps have the moments of any tau steps that others follow, and the rest
    obey x_t = c + sum_k A_k x_{t-k} + e_t."""
    A, c, noise = (part.detach().numpy() for part in ar.coefficients())
    length, channels = ar.shape
    first = ar.tau * channels
    start = torch.cat([x_BTC[:, t : t + ar.tau].flatten(1) for t in range(length - ar.tau)]).numpy()
    mean = np.zeros(length * channels)
    # x = M (drivers): the first tau steps drive themselves, each later step brings its noise
    M, drivers = np.zeros((length * channels,) * 2), np.zeros((length * channels,) * 2)
    mean[:first], M[:first, :first] = start.mean(0), np.eye(first)
    drivers[:first, :first] = (start - start.mean(0)).T @ (start - start.mean(0)) / len(start)
    for t in range(ar.tau, length):
        here = slice(t * channels, (t + 1) * channels)
        M[here, here], drivers[here, here], mean[here] = np.eye(channels), noise, c
        for k in range(1, ar.tau + 1):
            before = slice((t - k) * channels, (t - k + 1) * channels)
            M[here] += A[k - 1] @ M[before]
            mean[here] += A[k - 1] @ mean[before]
    return multivariate_normal(mean, M @ drivers @ M.T, allow_singular=False)


@pytest.mark.parametrize("tau", [1, 2, 5])
def test_the_closed_form_is_least_squares(tau):
    x = windows(var())
    A, c, covariance = closed(x, tau).coefficients()
    expected = least_squares(x, tau)
    for found, wanted in zip((A, c, covariance), expected, strict=True):
        assert_close(found.detach(), torch.from_numpy(wanted), rtol=1e-8, atol=1e-10)


def test_windows_that_overlap_by_tau_give_the_least_squares_of_the_whole_series():
    """Each step is then a target once."""
    series = var(5 * 40 + TAU)
    x = windows(series, length=T, stride=T - TAU)
    found = closed(x).coefficients()
    for one, other in zip(found, least_squares(series[None], TAU), strict=True):
        assert_close(one.detach(), torch.from_numpy(other), rtol=1e-8, atol=1e-10)


def test_gradients_climb_to_least_squares():
    """Within 0.002 of the coefficients, 1 % of the noise: Adam with batches of the whole split and a rate that falls to zero."""
    x = windows(var(), length=TAU + 1)
    kind = Series(TAU + 1, C)
    split = Split({"x": Column(kind, x.numpy().astype(np.float32))})
    data = Data({"x": kind}, {"train": split, "valid": split}, {"spec": "here"})
    ar = SeriesAR(kind, tau=TAU, fit="gradient")
    Trainer(ar, data, Training(steps=500, batch_size=len(x), lr=0.05, schedule="cosine", eval_every=500, device="cpu")).run()
    assert_close(ar.mean_C, x[:, :].flatten(0, 1).mean(0).float())
    assert_close(ar.scale_C, x.flatten(0, 1).std(0, correction=0).float())
    A, c, covariance = (part.detach().double() for part in ar.coefficients())
    wanted_A, wanted_c, wanted_covariance = map(torch.from_numpy, least_squares(x, TAU))
    scale = ar.scale_C.double()
    assert_close(A / scale[:, None] * scale, wanted_A / scale[:, None] * scale, rtol=0, atol=2e-3)
    assert_close(c / scale, wanted_c / scale, rtol=0, atol=0.02)
    assert_close(covariance / scale.outer(scale), wanted_covariance / scale.outer(scale), rtol=0.01, atol=0.005)
    best = closed(x).log_prob(x).mean()
    assert best - 0.01 < ar.double().log_prob(x).mean() <= best + 1e-6  # the closed form is the maximum


@pytest.mark.parametrize("tau", [0, 1, 2, 6])
def test_log_p_is_the_joint_gaussian_of_the_whole_window(tau):
    x = windows(var())
    ar = closed(x, tau)
    joint = gaussian_of(ar, x)
    unit = np.sqrt(np.diag(joint.cov))  # scipy loses digits where channels differ much in scale
    expected = multivariate_normal(joint.mean / unit, joint.cov / np.outer(unit, unit)).logpdf(x[:50].flatten(1).numpy() / unit)
    assert_close(ar.log_prob(x[:50]).detach(), torch.from_numpy(expected - np.log(unit).sum()), rtol=1e-9, atol=1e-8)


def test_samples_have_the_moments_of_the_joint_gaussian():
    x, n = windows(var(), length=4), 20_000
    ar = closed(x)
    joint = gaussian_of(ar, x)
    drawn = ar.sample(n, generator=generator("moments")).flatten(1).numpy()
    scale = np.sqrt(np.diag(joint.cov))
    assert np.abs((drawn.mean(0) - joint.mean) / scale).max() < 5 / math.sqrt(n)
    assert np.abs((np.cov(drawn, rowvar=False) - joint.cov) / np.outer(scale, scale)).max() < 8 / math.sqrt(n)


def test_markov_is_the_first_order():
    x = windows(var())
    markov, first = closed(x, model=SeriesMarkov), closed(x, 1)
    assert torch.equal(markov.log_prob(x), first.log_prob(x))
    assert markov.config.keys() == {"x", "fit"}
    # p(x_t | past) looks at x_{t-1} and nothing before it
    z = x[:1].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(markov.conditionals(z).view(T, C)[4].sum(), z)
    assert gradient[0, 3:5].abs().min() > 0
    assert gradient[0, :3].abs().max() == 0


@pytest.mark.parametrize("unit", [1e-9, 1e6])
def test_units_change_the_density_by_their_volume_and_nothing_else(unit):
    x = windows(var())
    one, other = closed(x), closed(x * unit)
    assert_close(other.log_prob(x * unit) + T * C * math.log(unit), one.log_prob(x), rtol=1e-8, atol=1e-6)
    draws = [ar.sample(5, generator=generator("units")) for ar in (one, other)]
    assert_close(draws[1] / unit, draws[0], rtol=1e-6, atol=1e-9)


def test_float64_sums_stand_a_mean_far_from_zero():
    series = (torch.randn(4000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64).cumsum(0) * 0.1 + 1e4).float()
    x = windows(series, length=3).double()
    A, *_ = closed(x, 1).coefficients()
    assert_close(A.detach(), torch.from_numpy(least_squares(x, 1)[0]), rtol=1e-5, atol=1e-6)


def test_a_csv_is_fitted_as_numpy_fits_it(tmp_path):
    x = var(300)
    rows = [f"2024-{t},{a:.9g},{b:.9g},{c:.9g}" for t, (a, b, c) in enumerate(x.tolist())]
    (tmp_path / "x.csv").write_text("\n".join(["day,a,b,c", *rows]))
    data = load(tmp_path / "x.csv", window=TAU + 1, valid=0.1, test=0.1)
    ar = SeriesAR(Series(TAU + 1, C), tau=TAU)
    Trainer(ar, data, Training(device="cpu")).run()
    for found, wanted in zip(ar.double().coefficients(), least_squares(x[None, :240], TAU), strict=True):
        assert_close(found.detach(), torch.from_numpy(wanted), rtol=1e-4, atol=1e-6)


def test_sunspots(pofx_data, monkeypatch):
    """Yule's series: AR(9) of the monthly numbers by least squares over the steps of the training split."""
    data = load(pofx_data / "timeseries" / "monthly-sunspots.csv", window=10)
    ar = SeriesAR(data.fields["x"], tau=9)
    Trainer(ar, data, Training(device="cpu")).run()
    steps = data.splits["train"].columns["x"].values[: data.record["steps"]["train"][1] - 9]
    A, c, _ = ar.double().coefficients()
    wanted = least_squares(torch.from_numpy(steps.astype(np.float64)), 9)
    assert_close(A.detach(), torch.from_numpy(wanted[0]), rtol=1e-3, atol=1e-4)
    assert_close(c.detach(), torch.from_numpy(wanted[1]), rtol=1e-3, atol=1e-3)


# The latent model


def latent(kind: Series, **arguments) -> SeriesLatent:
    model = SeriesLatent(kind, hidden=4, **arguments).double()
    source = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(0.4 * torch.randn(p.shape, generator=source, dtype=torch.float64))
        model.mean_C.copy_(torch.arange(kind.channels) + 1.0)
        model.scale_C.copy_(0.5 + torch.arange(kind.channels))
    return model


@pytest.mark.parametrize("kind", [Series(2, 1), Series(1, 2)])
def test_the_latent_density_integrates_to_one(kind):
    model, side = latent(kind), torch.arange(-15, 15, 0.05, dtype=torch.float64)
    with torch.no_grad():
        total = model.log_prob(torch.cartesian_prod(side, side).view(-1, *kind.shape)).exp().sum() * 0.05**2
    assert abs(total - 1) < 1e-3


def test_the_state_is_the_recurrence_of_the_paper():
    """Plain cells written out: h_t = tanh(W_x z_{t-1} + W_h h_{t-1} + b), and a linear share of the step's earlier channels."""
    model, x = latent(Series(4, 2), cell="rnn"), torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    z, weights = (x - model.mean_C) / model.scale_C, dict(model.f.named_parameters())
    h, expected = model.h_1H.expand(3, -1), 0.0
    for t in range(4):
        if t > 0:
            h = torch.tanh(
                z[:, t - 1] @ weights["weight_ih_l0"].T + weights["bias_ih_l0"] + h @ weights["weight_hh_l0"].T + weights["bias_hh_l0"]
            )
        mean, log_s = model.U(h).view(3, 2, 2).unbind(1)
        for c in range(2):
            shift, log_scale = (mean[:, c], log_s[:, c])
            if c == 1:
                shift, log_scale = shift + model.V_PCC[0, 1, 0] * z[:, t, 0], log_scale + model.V_PCC[1, 1, 0] * z[:, t, 0]
            normal = torch.distributions.Normal(model.mean_C[c] + model.scale_C[c] * shift, model.scale_C[c] * log_scale.exp())
            expected = expected + normal.log_prob(x[:, t, c])
    assert_close(model.log_prob(x), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("cell", ["gru", "rnn"])
def test_the_state_remembers_the_first_step(cell):
    x = torch.randn(1, 12, 1, generator=torch.Generator().manual_seed(2), dtype=torch.float64).requires_grad_()
    (gradient,) = torch.autograd.grad(latent(Series(12), cell=cell).conditionals(x)[0, 11], x)
    assert gradient[0, 0].abs() > 1e-12


def test_training_standardises_first_and_then_lowers_the_loss():
    x = windows(var(300))
    kind = Series(T, C)
    split = Split({"x": Column(kind, x.numpy().astype(np.float32))})
    model = SeriesLatent(kind, hidden=8)
    before = model.log_prob(x.float()).mean()
    Trainer(model, Data({"x": kind}, {"train": split, "valid": split}, {"spec": "here"}), Training(steps=150, lr=0.01, device="cpu")).run()
    assert_close(model.mean_C.double(), x.flatten(0, 1).mean(0), rtol=1e-4, atol=1e-6)
    assert_close(model.scale_C.double(), x.flatten(0, 1).std(0), rtol=1e-2, atol=1e-6)
    independent, ar = closed(x, 0).log_prob(x).mean(), closed(x, 2).log_prob(x).mean()
    assert before < independent < model.log_prob(x.float()).mean()
    assert model.log_prob(x.float()).mean() < ar + 2  # it cannot know more than the process that made the data


# What the user must fix


def test_what_the_user_must_mend():
    with pytest.raises(UserError, match=r"x has 6 steps, and tau=6 needs 7 or more: a longer --window, or a smaller tau"):
        SeriesAR(Series(6), tau=6)
    with pytest.raises(UserError, match="x has 1 steps, and tau=1 needs 2"):
        SeriesMarkov(Series(1))
    with pytest.raises(UserError, match=f"2 channels allow a tau of {LARGEST // 2 - 1} or less, not 3000"):
        SeriesAR(Series(4000, 2), tau=3000)
    with pytest.raises(UserError, match="4 times 3 steps in a row are too few for regressions on 8 numbers"):
        closed(windows(var(6), length=3), 2)
    still = torch.cat([var()[:, :1], torch.full((600, 1), 3.0)], 1)
    with pytest.raises(UserError, match="channel 2 of x never changes, or follows exactly"):
        closed(windows(still), 1)
    with pytest.raises(UserError, match="channel 2 of x never changes in training: remove it with --columns"):
        SeriesLatent(Series(T, 2)).set_scale(SeriesLatent(Series(T, 2)).moments({"x": windows(still)}))
    twice = var()[:, [0, 0]] * torch.tensor([1.0, 2.0])
    with pytest.raises(UserError, match="channel 2 of x never changes, or follows exactly"):
        closed(windows(twice), 1)
