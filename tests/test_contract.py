"""Every model in the zoo keeps the contract: one test for each model and check."""

import pytest

from pofx import models
from pofx.testing import checks

CONTRACT = [pytest.param(check, id=f"{model} {name}") for model in models.files() for name, check in checks(models.find(model))]


@pytest.mark.parametrize("check", CONTRACT)
def test_contract(check):
    check()
