"""What is divided by what; speed is not tested."""

import pytest

pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def cost(script):
    return script("language_cost")


@pytest.fixture
def turns(cost, monkeypatch):
    """Two rounds of four contestants, of which the loop makes fewer tokens."""
    works = {cost.LOOP: (None, 10), "generate, frame": (None, 100), cost.PLAIN: (None, 100)}
    works["generate, plain"] = (None, 100)
    monkeypatch.setattr(cost, "contestants", lambda *_: works)
    monkeypatch.setattr(cost, "alternate", lambda *_: [(50, 10, 20, 5), (60, 10, 40, 9)])


@pytest.mark.usefixtures("turns")
def test_rates_are_over_the_loops_and_seconds_over_those_of_plain_generation(cost):
    loop, floor, fair = cost.measure(2, "cpu", "float32")
    assert (loop["benchmark"], loop["numerator"]) == ("loop", "generate, frame")
    assert (loop["low"], loop["high"], loop["at_least"]) == pytest.approx((50, 60, 60))
    assert (floor["benchmark"], floor["denominator"]) == ("floor", cost.PLAIN)
    assert (floor["low"], floor["high"], floor["at_most"]) == pytest.approx((0.25, 0.5, 1))
    assert (fair["benchmark"], fair["denominator"]) == ("fair", "generate, plain")
    assert (fair["low"], fair["high"], fair["at_least"]) == pytest.approx((0.5, 0.9, 1))


def test_each_fair_way_is_compared_with_the_plain_model_by_the_same_function(cost, monkeypatch):
    seconds = {"generate": 3, "generate, frame": 2, "generate, plain": 1}
    seconds |= {"sample": 12, "sample, frame": 8, "sample, plain": 4, cost.PLAIN: 1}
    monkeypatch.setattr(cost, "contestants", lambda *_: dict.fromkeys(seconds, (None, 100)))
    monkeypatch.setattr(cost, "alternate", lambda *_: [tuple(seconds.values())])
    rows = [row for row in cost.measure(1, "cpu", "float32") if row["benchmark"] == "fair"]
    found = {row["numerator"]: (row["ratio"], row["at_least"]) for row in rows}
    third = pytest.approx(1 / 3)
    assert found["generate"] == found["sample"] == (third, None)
    assert found["generate, frame"] == found["sample, frame"] == (0.5, 1)
