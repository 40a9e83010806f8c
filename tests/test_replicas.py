"""What the pair of processes that checks all models rests on: who gets which rows, and that no failure is waited for."""

import time

import pytest
import torch
from torch import nn

from pofx.errors import UserError
from pofx.kinds import Vector
from pofx.model import Model
from pofx.testing import pair as pairs
from pofx.testing.cases import Case
from pofx.testing.pair import pair, replicas
from pofx.train import Training, loop
from pofx.train.strategy import Replicas


class OneFails(Model):
    """Training fails in the second replica while the first waits for it."""

    def __init__(self, x: Vector):
        super().__init__()
        self.layer = nn.Linear(x.dims, 1)

    def loss(self, batch, noise):
        if noise.rows.start > 0:
            raise ValueError("the second replica has had enough")
        return {"loss": self.layer(batch["x"]).squeeze(1)}


class Unequal(Model):
    """A loss that forgets that it sees a part of the batch: a mean over its own rows."""

    def __init__(self, x: Vector):
        super().__init__()
        self.layer = nn.Linear(x.dims, 1)

    def loss(self, batch, noise):
        h_B = self.layer(batch["x"]).squeeze(1)
        return {"loss": (h_B - h_B.mean()).square()}


@pytest.mark.parametrize(("total", "world"), [(6, 2), (7, 2), (100, 3), (2, 4)])
def test_rows_are_cut_without_gap_or_overlap(total, world):
    one = Replicas.__new__(Replicas)
    cuts = []
    for one.rank in range(world):
        one.world = world
        cuts.append(one.cut(total))
    assert [row for cut in cuts for row in range(total)[cut]] == list(range(total))
    sizes = [cut.stop - cut.start for cut in cuts]
    assert max(sizes) - min(sizes) <= 1


def test_one_process_is_alone():
    alone = Replicas(torch.device("cpu"))
    values = torch.arange(3.0)
    alone.sum([values])
    alone.same([values])
    assert (alone.active, alone.rank, alone.world, alone.cut(5)) == (False, 0, 1, slice(0, 5))
    assert values.tolist() == [0, 1, 2]
    assert alone.any(True)
    assert not alone.any(False)


def test_more_replicas_than_validation_examples_are_refused(monkeypatch):
    case = Case(Unequal, {"x": Vector(3)})

    class Many(Replicas):
        def __init__(self, device):
            self.active, self.rank, self.world = False, 0, 8

    monkeypatch.setattr(loop, "Replicas", Many)
    with pytest.raises(UserError, match="8 replicas need as many validation examples, and there are 7"):
        loop.Trainer(case.model(), case.data(), Training(device="cpu"))


def test_a_loss_that_mixes_rows_is_noticed():
    with pytest.raises(AssertionError, match="is not that of one process"):
        replicas(Case(Unequal, {"x": Vector(3)}))


def test_a_replica_that_fails_is_reported_at_once_and_the_next_question_is_answered():
    before, clock = pair(), time.monotonic()
    with pytest.raises(AssertionError, match="the second replica has had enough"):
        before.ask(Case(OneFails, {"x": Vector(3)}))
    assert time.monotonic() - clock < pairs.PATIENCE
    assert all(process.poll() is not None for process in before.processes)
    assert pair() is not before
