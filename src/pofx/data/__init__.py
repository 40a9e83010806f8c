"""Data: `load(spec)` gives named splits of named, typed fields."""

from pofx import renamed
from pofx.data.columns import Column, Data, Split
from pofx.data.describe import describe
from pofx.data.loading import load, load_pictures, load_series, reload
from pofx.data.sources.series import TimeSeries

__all__ = ["Column", "Data", "Split", "TimeSeries", "describe", "load", "load_pictures", "load_series", "reload"]

__getattr__ = renamed.stayed(__name__)  # names that are called otherwise now, or are elsewhere
