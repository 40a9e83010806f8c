"""Every model in the zoo keeps the contract, one test for each model and check; and each check notices a model that is broken."""

import re
from pathlib import Path

import pytest
import torch

from pofx import models
from pofx.capabilities import Samples, Scores
from pofx.errors import UserError
from pofx.testing import Case, check_model, checks
from pofx.testing.cases import CHECKS, cases

HERE = Path(__file__).parent
GAMES = [str(file) for file in sorted((HERE / "games").glob("*.py"))]
CONTRACT = [
    pytest.param(check, id=f"{Path(model).stem} {name}")
    for model in [*models.files(), *GAMES]
    for name, check in checks(models.find(model))
]


@pytest.mark.parametrize("check", CONTRACT)
def test_contract(check):
    check()


@pytest.mark.parametrize("name", [Path(file).stem for file in models.files()])
def test_a_p_of_x_is_given_nothing(name):
    case = next(case for case in cases(models.find(name)) if not case.densities)
    if len(case.kinds) > 1:
        pytest.skip("a p(x | y), or one that learns of labels beside x")
    model, given = case.model(), torch.zeros(2, dtype=torch.int64)
    for asked, ask in ((Samples, lambda: model.sample(2, given=given)), (Scores, lambda: model.log_prob(case.first(2), given=given))):
        if case.can(asked):
            with pytest.raises(UserError, match=r"nothing can be given"):
                ask()


BROKEN = [name for name in re.findall(r"^class (\w+)", (HERE / "broken.py").read_text(), re.M) if not name.startswith("Sound")]


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_model_is_noticed(name):
    cls = models.find(f"{HERE / 'broken.py'}:{name}")
    check = getattr(cls, "check", re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower())
    applies, function = CHECKS[check]
    case = Case(cls, cls.kinds)
    assert applies(case)
    with pytest.raises(AssertionError):
        function(case)


def test_every_check_has_a_model_that_it_notices():
    noticed = {
        getattr(models.find(f"{HERE / 'broken.py'}:{name}"), "check", None) or re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()
        for name in BROKEN
    }
    assert noticed == set(CHECKS)


def test_a_sound_model_keeps_the_contract_and_the_first_failure_of_another_is_named():
    translator, sound = (models.find(f"{HERE / 'broken.py'}:{name}") for name in ("SoundTranslator", "Sound"))
    check_model(translator, kinds=translator.kinds)
    check_model(sound, kinds=sound.kinds)
    with pytest.raises(
        AssertionError, match=r"^Gradients: documentation x=Binary\(dims=\(1, 3, 3\)\): the docstring has no block References"
    ):
        check_model(models.find(f"{HERE / 'broken.py'}:Gradients"), kinds=sound.kinds)
