"""Every model in the zoo keeps the contract, one test for each model and check; and the contract notices what is broken."""

from pathlib import Path

import pytest

from pofx import models
from pofx.testing import checks

GAMES = [f"{file}" for file in sorted((Path(__file__).parent / "games").glob("*.py"))]
CONTRACT = [
    pytest.param(check, id=f"{Path(model).stem} {name}")
    for model in [*models.files(), *GAMES]
    for name, check in checks(models.find(model))
]


@pytest.mark.parametrize("check", CONTRACT)
def test_contract(check):
    check()
