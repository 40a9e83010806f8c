"""Data: `load(spec)` gives named splits of named, typed fields."""

from pofx.data.describe import describe
from pofx.data.loading import load, load_pictures, load_series, reload
from pofx.data.series import TimeSeries
from pofx.data.split import Column, Data, Split

__all__ = ["Column", "Data", "Split", "TimeSeries", "describe", "load", "load_pictures", "load_series", "reload"]
