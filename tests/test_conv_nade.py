"""ConvNADE sees as far as it says, and its steps compute no more than that."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from pofx.errors import UserError
from pofx.kinds import Binary, Image
from pofx.models.autoregressive.conv_nade import ConvNADE
from pofx.testing.cases import stirred


def model(kind, blocks):
    torch.manual_seed(0)
    return stirred(ConvNADE(kind, features=4, blocks=blocks).double())


def test_receptive_field_is_a_square_of_3_and_2_a_block():
    net, x = model(Binary(1, 21, 21), 2), torch.rand(1, 1, 21, 21).double().requires_grad_()
    net.params(x, torch.ones(1, 1, 21, 21).bool())[0, 0, 0, 10, 10].backward()
    rows, columns = x.grad[0, 0].nonzero().T
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (3, 17, 3, 17)  # 7 away from 10


@pytest.mark.parametrize("kind", [Binary(1, 13, 18), Image(3, 9, 8, levels=4)])
def test_a_step_says_what_the_whole_network_says_in_the_middle_and_at_the_borders(kind):
    net, x = model(kind, 1), torch.rand(2, *kind.shape).double()
    known = torch.rand(2, *kind.shape) < 0.5
    with torch.no_grad():
        whole, step = net.params(x, known).flatten(2), net.stepper(x, known)
        found = torch.stack([step(place) for place in range(kind.size)], 2)
    torch.testing.assert_close(found, whole, rtol=1e-10, atol=1e-10)


def test_a_step_costs_what_its_pixel_sees():
    kind, F, x = Binary(1, 28, 28), 4, torch.zeros(1, 1, 28, 28)
    net, count = ConvNADE(kind, features=F, blocks=2), FlopCounterMode(display=False)
    step = net.stepper(x, x > 0)
    with count:
        step(400)
    into, out = 2 * (2 * F) * 49 * 9**2, 2 * F
    assert count.get_total_flops() == into + 2 * F * F * 9 * (7**2 + 5**2 + 3**2 + 1) + out


def test_bits_of_no_picture_are_refused():
    with pytest.raises(UserError, match="conv_nade needs pictures"):
        ConvNADE(Binary(9))
