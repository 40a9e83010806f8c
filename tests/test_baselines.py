"""Baselines by assumption: tables equal counts, formulas equal what is stored, and they are the same model where they must be."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from torch.testing import assert_close

from pofx import models
from pofx.bases.autoregressive import raster
from pofx.commands.train import train
from pofx.errors import UserError
from pofx.kinds import Binary, Image
from pofx.randomness import generator

BASELINES = ("full_table", "independent", "markov", "ar_table", "ar", "fvsbn")
COUNTED = ("full_table", "independent", "markov", "ar_table")


def make(name, kind, **arguments):
    return models.find(name)(kind, **arguments).double()


def counted(name, kind, x, batch=None, **arguments):
    """A table in float64 from the statistics of uneven batches."""
    model = make(name, kind, **arguments)
    sums = {}
    for part in x.split(batch or len(x)):
        for key, value in model.statistics({"x": part}).items():
            sums[key] = sums.get(key, 0) + value
    model.solve(sums)
    return model


def fitted(model, x):
    """A logistic model at its maximum of likelihood plus a little of its own weights' square, which keeps it finite."""

    def objective(numbers):
        start = 0
        for p in model.parameters():
            p.data, start = torch.from_numpy(numbers[start : start + p.numel()]).view_as(p), start + p.numel()
            p.grad = None
        loss = -model.log_prob(x).mean()
        loss.backward()
        return loss.item(), np.concatenate([p.grad.flatten().numpy() for p in model.parameters()])

    found = minimize(objective, np.zeros(model.parameter_count), jac=True, method="L-BFGS-B", options={"ftol": 0, "gtol": 1e-10})
    objective(found.x)
    return model


def chain(n, rows, levels=2, seed=0):
    """Sticky sequences: x_d repeats x_{d-1} more often than not, (rows, n), as numbers from 0 to 1."""
    numbers = np.random.default_rng(seed)
    k = numbers.integers(0, levels, (rows, n))
    for d in range(1, n):
        k[:, d] = np.where(numbers.random(rows) < 0.4 + 0.4 * d / n, k[:, d - 1], k[:, d])
    return torch.from_numpy(k / (levels - 1))


def every(kind, levels):
    return torch.cartesian_prod(*[torch.linspace(0, 1, levels, dtype=torch.float64)] * kind.size).view(-1, *kind.shape)


# How many parameters

FORMULAS = {
    "full_table": lambda n, K, tau: K**n - 1,
    "independent": lambda n, K, tau: n * (K - 1),
    "markov": lambda n, K, tau: (K - 1) * (1 + K * (n - 1)),
    "ar_table": lambda n, K, tau: (K - 1) * sum(K ** min(d, tau) for d in range(n)),
    "ar": lambda n, K, tau: (K - 1) * sum(min(d, tau) + 1 for d in range(n)),
    "fvsbn": lambda n, K, tau: (K - 1) * n * (n + 1) // 2,
}


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize(("kind", "K"), [(Binary(1), 2), (Binary(7), 2), (Binary(1, 3, 3), 2), (Image(1, 2, 3, levels=3), 3)])
@pytest.mark.parametrize("tau", [1, 3, 50])
def test_parameters_are_as_many_as_the_formula_says(name, kind, K, tau):
    model = make(name, kind, **({"tau": tau} if name in ("ar", "ar_table") else {}))
    assert model.parameter_count == FORMULAS[name](kind.size, K, tau)
    stored = sum(t.numel() for t in model.state_dict().values())
    assert stored == model.parameter_count, "what a file holds is no more than the parameters"


def test_parameters_as_the_field_teaches_them():
    bits = Binary(1, 28, 28)
    assert make("independent", bits).parameter_count == 784
    assert make("markov", bits).parameter_count == 2 * 784 - 1
    assert make("fvsbn", bits).parameter_count == 784 * 785 // 2
    assert make("full_table", Binary(10)).parameter_count == 2**10 - 1
    assert make("ar_table", bits, tau=3).parameter_count == 1 + 2 + 4 + 781 * 2**3
    assert make("ar", bits, tau=3).parameter_count == 1 + 2 + 3 + 781 * 4


def test_the_report_of_a_training_and_its_card_say_how_many(tmp_path):
    report = train("markov", data="digits", out=str(tmp_path / "run"))
    assert report["parameters"] == 16 * (1 + 17 * 63)
    assert "Parameters: 17,152\n" in (tmp_path / "run/README.md").read_text()


# Tables equal counts


@pytest.mark.parametrize("smoothing", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("levels", [2, 3])
def test_full_table_is_the_histogram(levels, smoothing):
    kind = Binary(2, 2) if levels == 2 else Image(1, 2, 2, levels=3)
    x = chain(4, 50, levels).view(-1, *kind.shape)
    k = (x.flatten(1) * (levels - 1)).round().long().numpy()
    seen = np.zeros((levels,) * 4)
    np.add.at(seen, tuple(k.T), 1)
    expected = (seen + smoothing) / (len(x) + smoothing * seen.size)
    found = counted("full_table", kind, x, batch=7, smoothing=smoothing).log_prob(every(kind, levels))
    assert_close(found.exp(), torch.from_numpy(expected).flatten())
    assert ((found == -math.inf) == torch.from_numpy(expected == 0).flatten()).all()


@pytest.mark.parametrize("smoothing", [0.0, 1.0])
@pytest.mark.parametrize(("name", "tau"), [("independent", 0), ("markov", 1), ("ar_table", 1), ("ar_table", 3)])
@pytest.mark.parametrize("levels", [2, 4])
def test_tables_are_conditional_frequencies(name, tau, levels, smoothing):
    n, x = 6, chain(6, 200, levels)
    kind = Binary(n) if levels == 2 else Image(1, 2, 3, levels=levels)
    model = counted(name, kind, x.view(-1, *kind.shape), batch=33, smoothing=smoothing, **({"tau": tau} if name == "ar_table" else {}))
    k = (x * (levels - 1)).round().long().tolist()
    expected = []
    for row in k[:20]:
        total = 0.0
        for d in range(n):
            alike = [other for other in k if other[max(0, d - tau) : d] == row[max(0, d - tau) : d]]
            total += math.log((sum(other[d] == row[d] for other in alike) + smoothing) / (len(alike) + smoothing * levels))
        expected.append(total)
    assert_close(model.log_prob(x[:20].view(-1, *kind.shape)), torch.tensor(expected, dtype=torch.float64))


def test_pictures_are_read_row_by_row_and_a_pixel_channel_by_channel():
    kind = Image(3, 2, 2, levels=2)
    x = torch.bernoulli(torch.full((300, *kind.shape), 0.3, dtype=torch.float64), generator=generator("rgb"))
    read = x.flatten(1)[:, raster(kind.shape)]
    assert torch.equal(read[:, :4], torch.stack([x[:, 0, 0, 0], x[:, 1, 0, 0], x[:, 2, 0, 0], x[:, 0, 0, 1]], 1))
    assert_close(counted("markov", kind, x).log_prob(x), counted("markov", Binary(12), read).log_prob(read))


@pytest.mark.parametrize("name", COUNTED)
def test_what_was_never_seen_is_impossible_only_without_smoothing(name):
    x = torch.tensor([[0.0, 0, 1, 1], [0, 1, 1, 1]]).double()
    other = torch.tensor([[1.0, 0, 1, 1]]).double()
    hard, soft = counted(name, Binary(4), x, smoothing=0), counted(name, Binary(4), x)
    assert hard.log_prob(other).item() == -math.inf
    assert soft.log_prob(other).isfinite().all()
    assert_close(hard.log_prob(every(Binary(4), 2)).exp().sum().item(), 1.0)
    drawn = hard.sample(200, generator=generator("seen"))
    assert hard.log_prob(drawn).isfinite().all()


def test_levels_that_were_never_seen_below_one_that_was():
    """Where a level and all below it have count 0, their odds are 0 / 0."""
    x = torch.tensor([[1.0], [1.0], [2 / 3]]).double().view(3, 1, 1, 1)
    model = counted("independent", Image(1, 1, 1, levels=4), x, smoothing=0)
    assert_close(model.log_prob(every(Image(1, 1, 1, levels=4), 4)).exp(), torch.tensor([0, 0, 1 / 3, 2 / 3]).double())


@pytest.mark.parametrize("name", BASELINES)
def test_levels_sum_to_one(name):
    kind = Image(1, 2, 2, levels=3)
    model = make(name, kind)
    for tensor in model.state_dict().values():
        tensor.copy_(torch.randn(tensor.shape, generator=generator("levels"), dtype=torch.float64))
    assert_close(model.log_prob(every(kind, 3)).exp().sum().item(), 1.0)


# Rungs that are the same model


def test_the_baselines_meet():
    x, kind = chain(6, 300), Binary(6)
    for smoothing in (0.0, 1.0):
        markov = counted("markov", kind, x, smoothing=smoothing)
        assert_close(counted("ar_table", kind, x, tau=1, smoothing=smoothing).log_prob(x), markov.log_prob(x))
    full = counted("full_table", kind, x, smoothing=0)
    assert_close(counted("ar_table", kind, x, tau=5, smoothing=0).log_prob(x), full.log_prob(x))
    assert_close(counted("ar_table", kind, x, tau=99, smoothing=0).log_prob(x), full.log_prob(x))


def test_likelihood_of_the_training_data_rises_with_fewer_assumptions_and_ends_at_the_entropy():
    x, kind = chain(5, 400), Binary(5)
    models = [counted(name, kind, x, smoothing=0, **more) for name, more in
             (("independent", {}), ("markov", {}), ("ar_table", {"tau": 2}), ("ar_table", {"tau": 3}), ("full_table", {}))]  # fmt: skip
    nll = [-model.log_prob(x).mean().item() for model in models]
    assert all(later < before - 1e-4 for before, later in itertools.pairwise(nll))
    share = np.unique(x.numpy(), axis=0, return_counts=True)[1] / len(x)
    assert math.isclose(nll[-1], -(share * np.log(share)).sum())
    on = x.mean(0)
    assert math.isclose(nll[0], -(on * on.log() + (1 - on) * (1 - on).log()).sum().item())

    # a first-order chain's cross-entropy is H(x_1) + sum_d H(x_{d-1}, x_d) - H(x_{d-1})
    def entropy(columns):
        p = np.unique(x[:, columns].numpy(), axis=0, return_counts=True)[1] / len(x)
        return -(p * np.log(p)).sum()

    assert math.isclose(nll[1], entropy([0]) + sum(entropy([d - 1, d]) - entropy([d - 1]) for d in range(1, 5)))


def test_gradient_reaches_the_counts():
    """Of bits, a logistic AR(1) can be any Markov chain: at its maximum it is the one that is counted."""
    x, kind = chain(6, 400), Binary(6)
    markov, ar = counted("markov", kind, x, smoothing=0), fitted(make("ar", kind, tau=1), x)
    assert ar.parameter_count == markov.parameter_count
    assert_close(ar.log_prob(x), markov.log_prob(x), rtol=1e-6, atol=1e-6)


def test_ar_over_all_is_the_belief_net():
    x, kind = chain(9, 300).view(-1, 1, 3, 3), Binary(1, 3, 3)
    for levels, of in ((2, kind), (4, Image(1, 3, 3, levels=4))):
        ar, net = make("ar", of, tau=8), make("fvsbn", of)
        for mine, its in zip(ar.parameters(), net.parameters(), strict=True):
            assert mine.shape == its.shape
            mine.data = its.data = torch.randn(mine.shape, generator=generator(levels), dtype=torch.float64)
        assert_close(ar.log_prob(x), net.log_prob(x))


@pytest.mark.parametrize("levels", [2, 3])
def test_each_number_of_the_belief_net_is_sklearns_logistic_regression(levels):
    kind = Binary(5) if levels == 2 else Image(1, 1, 5, levels=3)
    x = chain(5, 500, levels)
    net = fitted(make("fvsbn", kind), x.view(-1, *kind.shape))
    conditionals = net.conditionals(x.view(-1, *kind.shape)).detach()
    k = (x * (levels - 1)).round().long().numpy()
    for d in (1, 4):
        reference = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(x[:, :d].numpy(), k[:, d])
        expected = reference.predict_log_proba(x[:, :d].numpy())[np.arange(len(x)), k[:, d]]
        assert_close(conditionals[:, d], torch.from_numpy(expected), rtol=1e-4, atol=1e-5)


# Samples and completions


@pytest.mark.parametrize("levels", [2, 3])
def test_a_chains_samples_give_back_its_table(levels):
    kind = Binary(8) if levels == 2 else Image(1, 2, 4, levels=3)
    markov = counted("markov", kind, chain(8, 300, levels).view(-1, *kind.shape))
    again = counted("markov", kind, markov.sample(100_000, generator=generator("chain")), smoothing=0)
    assert_close(
        again.log_p(torch.arange(len(again.log_odds))).exp(), markov.log_p(torch.arange(len(markov.log_odds))).exp(), rtol=0, atol=0.012
    )


def test_a_completion_is_drawn_given_the_past_alone():
    x = chain(4, 500)
    table = counted("ar_table", Binary(4), x, tau=2)
    known = torch.tensor([True, True, False, True])
    given = torch.tensor([[1.0, 0.0, 0.0, 1.0]]).double().expand(40_000, -1)
    drawn = table.complete(given, known, generator=generator("past"))
    assert torch.equal(drawn[:, known], given[:, known])
    rows = table.rows(table.levels(given[:1]))
    assert abs(drawn[:, 2].mean().item() - table.log_p(rows[0, 2])[1].exp().item()) < 4 * 0.5 / 200


def test_depends_is_what_the_order_says():
    for name, tau in (("independent", 0), ("markov", 1), ("ar", 3)):
        model = make(name, Binary(1, 3, 3), **({"tau": 3} if name == "ar" else {}))
        i, j = torch.meshgrid(torch.arange(9), torch.arange(9), indexing="ij")
        assert torch.equal(model.dependency_matrix(), (j < i) & (i - j <= tau))


def test_a_context_that_was_never_seen_leaves_all_levels_alike():
    """Reached only where a completion is told so: at place 0, 0.5 was never seen."""
    x = torch.tensor([[0.0, 0.5], [1.0, 1.0]]).double().view(2, 1, 1, 2)
    markov = counted("markov", Image(1, 1, 2, levels=3), x, smoothing=0)
    assert_close(markov.log_p(torch.tensor([1, 2, 3])).exp(), torch.tensor([[0, 1, 0], [1 / 3] * 3, [0, 0, 1]]).double())


# What the user must fix


@pytest.mark.parametrize("name", BASELINES)
def test_numbers_that_are_no_levels(name):
    bits, pictures = make(name, Binary(1, 2, 2)).eval(), make(name, Image(1, 2, 2, levels=3)).eval()
    for bad in (0.5, 2.0, -1.0, math.nan):
        x = torch.zeros(2, 1, 2, 2).double()
        x[1, 0, 1, 1] = bad
        with pytest.raises(UserError, match=r"made for bits.*give \(x >= 0.5\)"):
            bits.log_prob(x)
        known = torch.ones(1, 2, 2, dtype=torch.bool)
        with pytest.raises(UserError, match="made for bits"):
            bits.complete(x, known)
        known[0, 1, 1] = False
        assert bits.complete(x, known, generator=generator("unknown")).shape == x.shape  # what is not known is not looked at
        if bad != 0.5:
            with pytest.raises(UserError, match="from 0 to 1 in steps of 1/2"):
                pictures.log_prob(x)
    with pytest.raises(UserError, match=r"made for x of shape \(1, 2, 2\)"):
        bits.log_prob(torch.zeros(1, 1, 3, 3).double())


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("full_table", Binary(28, 28), r"784 numbers of 2 levels take some 10\^236 parameters.*: train ar_table, markov or fvsbn"),
        ("full_table", Binary(30), r"take 1,073,741,823 parameters, and a table may have 67,108,864"),
        ("markov", Image(3, 64, 64), r"802,095,615 parameters.*--binarize threshold, or train ar"),
        ("ar_table", Image(1, 28, 28), r"13,068,599,295 parameters.*a smaller --tau"),
        ("fvsbn", Image(3, 32, 32), r"parameters.*: train ar"),
    ],
)
def test_too_large_is_said_before_anything_is_built(name, kind, message):
    with pytest.raises(UserError, match=message):
        models.find(name)(kind)
