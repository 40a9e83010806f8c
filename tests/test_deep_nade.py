"""DeepNADE's step does one product between the hidden layers, and its sums stay exact over 784 of them."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from pofx.bases.order_agnostic import OrderAgnostic
from pofx.errors import UserError
from pofx.kinds import Binary, Image
from pofx.models.autoregressive.deep_nade import DeepNADE


def test_incremental_sums_in_float32_are_within_a_ten_thousandth_of_a_nat():
    """Against the whole network, run once a number in float64."""
    torch.manual_seed(0)
    model = DeepNADE(Binary(1, 28, 28), hidden=(40, 30))
    with torch.no_grad():
        model.into.weight.mul_(20)  # so that the hidden sums are far from zero, as after training
    x = torch.rand(3, 1, 28, 28).round()
    found = model.log_prob(x, order=2)
    model.double().stepper = lambda *args: OrderAgnostic.stepper(model, *args)
    expected = model.log_prob(x.double(), order=2)
    assert expected.std() > 1
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-4)


def test_scoring_costs_one_hidden_product_a_number():
    B, D, H1, H2 = 5, 36, 48, 32
    model, count = DeepNADE(Binary(1, 6, 6), hidden=(H1, H2)), FlopCounterMode(display=False)
    with count:
        model.log_prob(torch.zeros(B, 1, 6, 6))
    first = 2 * B * H1 * (2 * D)  # of nothing known
    assert count.get_total_flops() <= first + D * 2 * B * (H1 * H2 + 2 * H1 + H2)


def test_levels_sum_to_one_in_every_likelihood():
    x = torch.cartesian_prod(*[torch.arange(4.0) / 3] * 4).view(-1, 1, 2, 2).double()
    for likelihood in ("categorical", "logistic_mixture"):
        model = DeepNADE(Image(1, 2, 2, levels=4), hidden=(6,), likelihood=likelihood).double()
        torch.testing.assert_close(model.log_prob(x, orders=2).exp().sum().item(), 1.0)


def test_needs_a_hidden_layer():
    with pytest.raises(UserError, match="hidden needs at least one layer"):
        DeepNADE(Binary(4), hidden=())


def test_weight_decay_is_adams():
    ((player,),) = (stage.players for stage in DeepNADE(Binary(4), hidden=(2,), weight_decay=0.05).stages())
    assert player.optimizer.weight_decay == 0.05
