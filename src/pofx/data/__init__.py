"""Data: `load(spec)` gives named splits of named, typed fields."""

from pofx.data.describe import describe
from pofx.data.loading import load, reload
from pofx.data.split import Column, Data, Split

__all__ = ["Column", "Data", "Split", "describe", "load", "reload"]
