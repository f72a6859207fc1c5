"""The list of figures: each is complete, and nothing that can be configured is left out of one."""

import itertools
from typing import get_args

import pandas as pd
import pytest
import yaml
from matplotlib.text import Text

from equitune import config
from equitune.config.scan import ScanArchitecture, ScanTask
from equitune.methods import METHODS, names
from equitune.results import catalogue, gains, style, tables
from equitune.results.figures import image

# a grey pixel
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNoaGgAAAMEAYFL09IQAAAAAElFTkSuQmCC"
OWN = "my_own"  # what a user may name, and no list of ours has
SCAN = {
    "task": [*get_args(ScanTask), OWN],
    "architecture": [*get_args(ScanArchitecture), OWN],
    "method": config.SCAN_METHODS,
}
IMAGE = {
    "dataset": ["digits", OWN],
    "architecture": [*image.ARCHITECTURES, OWN],
    "method": config.IMAGE_METHODS,
}
GROUPS = ["rotate90", "rotate_flip", "flip"]
FILLED = {  # what stands in columns of text that are of no matter here
    "group": "rotate90",
    "measured_by": "rotate90",
    "pair": "man/woman",
    "measure": "rotated_accuracy",
    "scorer": "words",
    "model": "small",
}


def full(name, **values):
    """A table with a row for each combination of values; all other numbers are one half."""
    columns = tables.COLUMNS[name]
    rest = {key: FILLED.get(key, "x") if key in tables.TEXT else 0.5 for key in columns}
    rest |= dict.fromkeys(("seed", "step"), 0) | dict.fromkeys(("n", "texts", "test_tokens"), 9)
    rows = itertools.product(*values.values())
    table = pd.DataFrame([rest | dict(zip(values, row, strict=True)) for row in rows])
    return table[list(columns)]


@pytest.fixture(scope="module")
def language(root):
    """What the language experiment knows: axes with a lexicon, tasks, methods."""
    default = yaml.safe_load((root / "config" / "config.yaml").read_text())["language"]
    prompts = yaml.safe_load((root / "resources" / "prompts.yaml").read_text())
    return {
        "axis": [*default["lexicons"], OWN],
        "task": [*prompts["tasks"], OWN, "other"],
        "method": config.LANGUAGE_METHODS,
    }


@pytest.fixture(scope="module")
def published(root):
    return tables.read(root / "resources" / "published.csv", tables.PUBLISHED_COLUMNS)


@pytest.fixture(scope="module")
def drawings(language, published):
    """By figure: the values that are to be seen on it, and how it is drawn of all of them."""
    images = IMAGE | {"group": GROUPS[:1]}
    cell = {"dataset": ["digits"], "architecture": ["alexnet"]}
    seen = {key: IMAGE[key] for key in ("dataset", "architecture")}
    compared = {"method": gains.TUNED, "against": gains.AGAINST}
    who = ["man", "woman", tables.ALL]
    axes = {key: language[key] for key in ("axis", "method")}
    return {
        "scan_accuracy": (SCAN, lambda draw: draw(full("scan", **SCAN), published)),
        "image_accuracy": (IMAGE, lambda draw: draw(full("image", **images), published)),
        "image_cost": (IMAGE, lambda draw: draw(full("image", **images))),
        "image_rotation": (
            IMAGE,
            lambda draw: draw(
                full("image_elements", **IMAGE, measured_by=GROUPS, element=["e", "r"])
            ),
        ),
        "image_orbit": (
            {"method": config.IMAGE_METHODS} | cell,
            lambda draw: draw(
                full(
                    "image_examples",
                    **cell,
                    method=config.IMAGE_METHODS,
                    element=["e", "r"],
                    image=[1],
                    png=[PNG],
                ),
                dataset="digits",
                architecture="alexnet",
            ),
        ),
        "image_gains": (
            seen | {"group": GROUPS} | compared,
            lambda draw: draw(full("image_gains", **seen, **compared, group=GROUPS)),
        ),
        "image_forecast": (
            seen | {"group": GROUPS},
            lambda draw: draw(full("image_forecast", **seen, group=GROUPS)),
        ),
        "language_regard": (
            language,
            lambda draw: draw(full("regard", **language, demographic=who[:2]), published, None),
        ),
        "language_gaps": (language, lambda draw: draw(full("fairness", **language), None)),
        "language_fairness": (language, lambda draw: draw(full("fairness", **language))),
        "language_pronouns": (
            language,
            lambda draw: draw(full("language_pronouns", **language, demographic=who)),
        ),
        "language_tuning": (
            axes,
            lambda draw: draw(full("language_tuning", **axes, step=[0, 9])),
        ),
    }


def name(column, value):
    """What a value may be called on a figure."""
    if column in ("method", "against"):
        return {METHODS[value].label}
    return {value, value.replace("_", " "), image.ARCHITECTURES.get(value, value)}


@pytest.mark.parametrize(
    "figure",
    [
        name
        for name, each in catalogue.FIGURES.items()
        if each.target in ("scan", "image", "language")
    ],
)
def test_nothing_that_can_be_configured_is_left_out(figure, drawings):
    values, draw = drawings[figure]
    drawn, _ = draw(catalogue.FIGURES[figure].draw)
    words = "\n".join(text.get_text().replace("\n", " ") for text in drawn.findobj(Text))
    for column, each in values.items():
        for value in each:
            assert any(called in words for called in name(column, value)), (column, value)


def test_every_run_of_scan_has_a_bar(drawings):
    drawn, _ = drawings["scan_accuracy"][1](catalogue.FIGURES["scan_accuracy"].draw)
    assert len(drawn.axes) == len(SCAN["task"])
    for axis in drawn.axes:
        assert len(axis.patches) == len(SCAN["architecture"]) * len(SCAN["method"])


def test_every_task_of_language_models_has_points_of_its_own(language, drawings):
    drawn, _ = drawings["language_fairness"][1](catalogue.FIGURES["language_fairness"].draw)
    (legend,) = drawn.legends
    handles = legend.legend_handles
    looks = {(h.get_markerfacecolor(), h.get_fillstyle()) for h in handles}
    assert len(looks) == len(handles) == len(language["task"])


def test_every_method_of_an_experiment_has_a_colour_of_its_own():
    for experiment in ("scan", "image", "language"):
        colours = [METHODS[name].colour for name in names(experiment)]
        assert len(set(colours)) == len(colours)
    used = {method.colour for method in METHODS.values()}
    assert not used & {style.PUBLISHED, style.RIGHT, style.WRONG, *style.REGARD.values()}


@pytest.mark.parametrize("figure", catalogue.FIGURES.values(), ids=catalogue.FIGURES.keys())
def test_a_figure_is_complete(figure):
    assert callable(figure.draw)
    assert len(figure.caption) > 60
    assert figure.target in catalogue.CATEGORIES
    known = {*tables.COLUMNS}
    assert {*figure.tables, *figure.optional} <= known


def test_the_page_of_figures_is_that_of_the_catalogue(root):
    assert catalogue.page() in (root / "docs/figures.md").read_text(encoding="utf-8")
