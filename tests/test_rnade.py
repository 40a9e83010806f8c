"""RNADE: densities that integrate to 1, the paper's equations, and data with gaps refused."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Categorical, Laplace, MixtureSameFamily, Normal

from pofx.data import load
from pofx.errors import UserError
from pofx.kinds import Vector
from pofx.models.autoregressive.rnade import RNADE

D = 4


def rnade(**arguments):
    torch.manual_seed(0)
    model = RNADE(Vector(D), hidden=9, components=3, floor=0.2, **arguments).double()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.3 * torch.randn_like(p))
    return model


@pytest.mark.parametrize(("mixture", "density"), [("gaussian", Normal), ("laplace", Laplace)])
@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_log_p_is_the_paper_s(mixture, density, activation):
    """One number after another, with torch's own mixtures."""
    model, x = rnade(mixture=mixture, activation=activation), torch.randn(5, D).double()
    act = torch.relu if activation == "relu" else torch.sigmoid
    a, log_p = model.c_H.expand(5, -1), 0
    for d in range(D):
        alpha, mu, s = (act(model.rho_D[d] * a) @ model.V_DHP[d] + model.b_DP[d]).unflatten(1, (3, 3)).unbind(1)
        log_p = log_p + MixtureSameFamily(Categorical(logits=alpha), density(mu, 0.2 + s.exp())).log_prob(x[:, d])
        a = a + x[:, d, None] * model.W_DH[d]
    torch.testing.assert_close(model.log_prob(x), log_p)


def test_samples_have_the_density_s_distribution_function():
    """P(x_d <= drawn x_d | x_<d) of every drawn number is uniform: Kolmogorov and Smirnov's distance of 4000 draws, at 1 in 10,000."""
    model = rnade()
    x = model.sample(4000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        alpha, mu, s = model.params(x).unflatten(1, (3, 3)).unbind(1)
    below = (alpha.softmax(1) * Normal(mu, 0.2 + s.exp()).cdf(x[:, None])).sum(1)
    for u in below.T:
        even = torch.linspace(0, 1, len(u), dtype=u.dtype)
        assert (u.sort().values - even).abs().max() < 2.2 / math.sqrt(len(u))


def test_numbers_far_out_give_no_scale_that_overflows():
    model, x = rnade().float(), torch.tensor([[1e6, -1e6, 1e6, -1e6]])
    assert model.log_prob(x).isfinite().all()
    assert model.sample(4000, generator=torch.Generator().manual_seed(0)).isfinite().all()


def test_no_scale_falls_below_the_floor():
    """Rows that are all the same would otherwise be worth any number of nats."""
    torch.manual_seed(0)
    model, x = RNADE(Vector(2), hidden=4, components=2, floor=0.05), torch.tensor([[0.3, -0.7]]).expand(20, 2)
    adam = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(200):
        adam.zero_grad()
        loss = -model.log_prob(x).mean()
        loss.backward()
        adam.step()
    most = -2 * math.log(0.05 * math.sqrt(2 * math.pi))
    assert most - 0.1 < -loss.item() < most


@pytest.mark.parametrize("cell", ["", "nan"])
def test_missing_numbers_are_refused_by_name(tmp_path, cell):
    (tmp_path / "table.csv").write_text(f"a,b\n1.5,2\n0.5,{cell}\n" + "3,4\n" * 20)
    with pytest.raises(UserError, match="row 2") as caught:
        load(str(tmp_path / "table.csv"))
    assert "\n" not in str(caught.value)
