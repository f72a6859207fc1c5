"""Figures: DataFrame in, Figure and the numbers it shows out; they read and write no file."""

from equitune.results.figures.cost import (
    cost_floor,
    cost_loop,
    cost_order,
    cost_peers,
    cost_state,
)
from equitune.results.figures.gains import image_forecast, image_gains
from equitune.results.figures.gaps import language_gaps
from equitune.results.figures.image import image_accuracy, image_cost, image_rotation
from equitune.results.figures.language import language_fairness, language_regard
from equitune.results.figures.orbit import image_orbit
from equitune.results.figures.pronouns import language_pronouns
from equitune.results.figures.scan import scan_accuracy
from equitune.results.figures.tuning import language_tuning

__all__ = [
    "cost_floor",
    "cost_loop",
    "cost_order",
    "cost_peers",
    "cost_state",
    "image_accuracy",
    "image_cost",
    "image_forecast",
    "image_gains",
    "image_orbit",
    "image_rotation",
    "language_fairness",
    "language_gaps",
    "language_pronouns",
    "language_regard",
    "language_tuning",
    "scan_accuracy",
]
