"""The figures of cost: every measurement, its aim, what was not measured; the same bytes always."""

import itertools

import pandas as pd
import pytest
from matplotlib.colors import to_hex

from equitune.methods import METHODS
from equitune.results import style, tables
from equitune.results.catalogue import FIGURES
from equitune.results.catalogue.cost import COST
from equitune.results.figures.cost import (
    cost_floor,
    cost_loop,
    cost_order,
    cost_peers,
    cost_state,
)
from equitune.results.figures.products import LEAST, PANELS, cost_products

MISSING = {"ratio": None, "low": None, "high": None, "n": 0, "value": None}


def row(benchmark, experiment, model, numerator, ratio, setting="batch 32", order=2, **more):
    keys = benchmark, experiment, model, setting, order, numerator, "the other"
    numbers = {"ratio": ratio, "low": 0.9 * ratio, "high": 1.2 * ratio, "n": 5}
    sides = {"value": 2 * ratio, "denominator_value": 2.0, "unit": "seconds"}
    where = {"machine": "a processor", "cores": 2, "threads": 1, "torch": "2"}
    blank = dict.fromkeys(tables.COST_COLUMNS)
    return blank | dict(zip(tables.COST_KEYS, keys, strict=True)) | numbers | sides | where | more


@pytest.fixture
def cost():
    rows = [
        row("loop", "scan", "LSTM", "evaluation", 40, at_least=35),
        row("loop", "scan", "LSTM", "pretraining", 30, "batch 128", at_least=60),
        row("loop", "scan", "LSTM", "pretraining", 20, "batch 32", at_least=60),
        row("loop", "language", "GPT-2 small", "sample", 25, at_least=60),
        row("floor", "image", "resnet18", "training step", 1.02, at_most=1.05),
        row("state", "image", "resnet18", "a write", 0.011, at_most=0.03),
        row("order", "image", "resnet18", "slope of a forward pass over |G|", 0.8, order=8),
    ]
    for order, ratio in ((1, 1.0), (2, 1.8), (4, 3.4)):
        rows.append(row("order", "image", "resnet18", "forward pass", ratio, order=order))
        what = "training step, chunk_size 1"
        rows.append(row("memory", "image", "alexnet", what, 1 + ratio / 10, order=order))
    for name, size in itertools.product(("escnn", "EquiTuned", "equiadapt"), ("32 px", "65 px")):
        gone = MISSING | {"note": "not installed: …"} if name == "equiadapt" else {}
        rate = 0.95 if name == "escnn" else 0.3
        rows.append(row("peer_rate", "image", "resnet18", name, rate, size, 4) | gone)
        if not gone:
            rows.append(row("peer_error", "image", "resnet18", name, 1e-7, size, 4))
    for benchmark, ratio in (("peer_rate", 1.0), ("peer_error", 0.1)):
        beside = {"denominator": "plain, trained"}
        rows.append(row(benchmark, "image", "resnet18", "soft", ratio, "32 px", 4) | beside)
    nothing = MISSING | {"note": "no package: a repository"}
    rows.append(row("peer_rate", "image", "resnet18", "SoftEq", 1, "32 px", 4) | nothing)
    return pd.DataFrame(rows)


def points(axis, marker, colour):
    return [
        (x, y)
        for line in axis.lines
        if line.get_marker() == marker and to_hex(line.get_color()) == colour.lower()
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
        if x == x
    ]


def names(axis):
    return [label.get_text() for label in axis.get_yticklabels()]


def labels(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_list_has_median_range_and_aim_of_every_measurement(cost):
    figure, shown = cost_loop(cost)
    scan, language = figure.axes
    assert (scan.get_title(), language.get_title()) == ("SCAN", "language")
    assert names(scan) == [
        "LSTM, pretraining, batch 32",
        "LSTM, pretraining, batch 128",
        "LSTM, evaluation, batch 32",
    ]
    rows = list(scan.get_yticks())
    blue = METHODS["equitune"].colour
    assert points(scan, "o", blue) == list(zip((20, 30, 40), rows, strict=True))
    assert points(scan, "|", "#666666") == list(zip((60, 60, 35), rows, strict=True))
    ends = [segment[:, 0].tolist() for segment in scan.collections[0].get_segments()]
    assert ends == [pytest.approx([0.9 * x, 1.2 * x]) for x in (20, 30, 40)]
    assert [text.get_text() for text in scan.texts] == ["20.0", "30.0", "40.0"]
    assert figure.legends[0].get_title().get_text() == "n = 5 rounds"
    assert scan.get_xlim()[0] == 0
    assert scan.get_xlim()[1] > 60
    assert len(shown) == 4


def test_one_kind_of_work_is_not_named_in_every_line(cost):
    floor, state = cost_floor(cost)[0], cost_state(cost)[0]
    assert names(floor.axes[0]) == names(state.axes[0]) == ["ResNet-18, batch 32"]
    assert [text.get_text() for text in floor.axes[0].texts] == ["1.02"]
    assert [text.get_text() for text in state.axes[0].texts] == ["1.10%"]


def test_lines_go_through_the_orders_and_leave_slopes_out(cost):
    figure, shown = cost_order(cost)
    time, memory = figure.axes
    blue = METHODS["equitune"].colour
    assert points(time, "o", blue) == [(1, 1.0), (2, 1.8), (4, 3.4)]
    drawn = [line for line in memory.lines if line.get_marker() == "s"]
    assert [line.get_ydata().tolist() for line in drawn] == [pytest.approx([1.1, 1.18, 1.34])]
    assert [text.get_text() for text in memory.get_legend().get_texts()] == [
        "|G|",
        "one copy after the other",
    ]
    assert memory.get_title() == "peak memory of a training step\nAlexNet, batch 32"
    assert not shown["numerator"].str.startswith("slope").any()


def test_peers_stand_beside_the_plain_network_and_the_missing_one_is_named(cost):
    figure, shown = cost_peers(cost)
    rate, error = figure.axes
    assert labels(figure) == ["equiadapt: not installed", "SoftEq: no package"]
    assert names(rate) == [
        f"{size} px, {name}"
        for size in (32, 65)
        for name in ("plain", "EquiTuned", "escnn", "soft")
    ]
    rows = list(rate.get_yticks())
    assert points(rate, "D", METHODS["equitune"].colour) == [(0.3, rows[1]), (0.3, rows[5])]
    assert points(rate, "D", style.PUBLISHED) == [(0.95, rows[2]), (0.95, rows[6]), (1.0, rows[3])]
    assert points(error, "D", style.PUBLISHED) == [(2e-7, rows[2]), (2e-7, rows[6]), (0.2, rows[3])]
    plain = METHODS["pretrained"].colour  # its stroke, in the line of soft when trained as long
    assert set(points(rate, "|", plain)) == {(1.0, rows[0]), (1.0, rows[4]), (1.0, rows[3])}
    assert set(points(error, "|", plain)) == {(2.0, rows[0]), (2.0, rows[4]), (2.0, rows[3])}
    assert error.get_xscale() == "log"
    assert (shown["n"] == 0).sum() == 3


@pytest.mark.parametrize("name", COST)
def test_a_table_without_measurements_is_one_line(cost, name):
    gone = cost.assign(ratio=float("nan"))
    for table in (gone, cost[:0]):
        with pytest.raises(ValueError, match="the table has no measurement of") as caught:
            FIGURES[f"cost_{name}"].draw(table)
        assert "\n" not in str(caught.value)


def test_products_of_groups_have_time_error_and_distance_side_by_side(cost):
    with pytest.raises(ValueError, match="no measurement of products"):
        cost_products(cost)
    forms = {"all copies": (4.0, 1e-16, 0.4), "additive": (4.2, 0.0, 0.5), "frame": (1.1, 0.0, 0.6)}
    rows = []
    for name, numbers in forms.items():
        for benchmark, number in zip(PANELS, numbers, strict=True):
            each = row(benchmark, "scan", "LSTM", name, number, "two pairs, 64 commands", 4)
            rows.append(each | {"value": number, "denominator_value": 0.9})
    figure, shown = cost_products(pd.DataFrame(rows))
    time, error, distance = figure.axes
    assert len(shown) == 9
    assert names(time)[0] == "LSTM, two pairs, |G| = 4: all copies"
    blue, pale = METHODS["equitune"].colour, METHODS["frame"].colour
    assert points(time, "D", blue) == [(4.0, 0)]
    assert points(distance, "D", pale) == [(0.6, -2)]
    assert points(error, "D", pale) == [(LEAST, -2)]  # 0 has no place on a logarithmic axis
    assert points(error, "|", METHODS["pretrained"].colour) == [(0.9, -y) for y in range(3)]
