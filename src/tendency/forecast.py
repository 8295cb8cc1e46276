"""Moved: import from `tendency.forecasting`."""
from tendency.forecasting import *  # noqa: F403
