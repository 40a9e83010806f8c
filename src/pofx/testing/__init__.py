"""The contract that every model is held to: checks generated from what a model can be asked, run on small configurations.

`check_model(MyModel)` runs them all. In a test file of your own, one test for each check:

    @pytest.mark.parametrize(("name", "check"), pofx.testing.checks(MyModel), ids=lambda v: v if isinstance(v, str) else "")
    def test_contract(name, check):
        check()
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from pofx.kinds import Kind
from pofx.model import Model
from pofx.testing import densities, inference, interface, learning, pair  # noqa: F401  (each adds its checks)
from pofx.testing.cases import CHECKS, Case, cases

__all__ = ["Case", "cases", "check_model", "checks"]


def checks(cls: type[Model], *, kinds: dict[str, Kind] | None = None) -> list[tuple[str, Callable[[], None]]]:
    """Every check that applies to `cls`, with its name: a function that raises an AssertionError where the model falls short.

    Args:
        cls: a model class; `cls.small` has the hyper-parameters of a small configuration
        kinds: the kinds of data to build it for, by field; by default, small ones of every kind that it accepts

    Raises:
        UserError: the model takes none of the small kinds

    Example:
        >>> from pofx.models.autoencoders.pca import PCA
        >>> from pofx.kinds import Vector
        >>> names = [name for name, _ in checks(PCA, kinds={"x": Vector(5)})]
        >>> "resume x=Vector(dims=5)" in names, any(name.startswith("sums_to_one") for name in names)
        (True, False)
    """
    found: list[tuple[str, Callable[[], None]]] = []
    for case in cases(cls, kinds):
        for name, (applies, check) in CHECKS.items():
            if applies(case) and (not case.densities or check.__module__ == densities.__name__):
                found.append((f"{name} {case}", functools.partial(check, case)))
    return found


def check_model(cls: type[Model], *, kinds: dict[str, Kind] | None = None) -> None:
    """Hold a model to the contract.

    Args:
        cls: a model class; `cls.small` has the hyper-parameters of a small configuration
        kinds: the kinds of data to build it for, by field; by default, small ones of every kind that it accepts

    Raises:
        AssertionError: the first check that fails, by name

    Example:
        >>> from pofx.models.autoencoders.pca import PCA
        >>> from pofx.kinds import Vector
        >>> check_model(PCA, kinds={"x": Vector(5)})
    """
    for name, check in checks(cls, kinds=kinds):
        try:
            check()
        except Exception as error:
            raise AssertionError(f"{cls.title()}: {name}: {error}") from error
