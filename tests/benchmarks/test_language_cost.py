"""What is divided by what; speed is not tested."""

import pytest

pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def cost(script):
    return script("language_cost")


@pytest.fixture
def turns(cost, monkeypatch):
    """Two rounds of three contestants, of which the loop makes fewer tokens."""
    works = {cost.LOOP: (None, 10), "sample": (None, 100), cost.PLAIN: (None, 100)}
    monkeypatch.setattr(cost, "contestants", lambda *_: works)
    monkeypatch.setattr(cost, "alternate", lambda *_: [(50, 10, 20), (60, 10, 40)])


@pytest.mark.usefixtures("turns")
def test_rates_are_over_the_loops_and_seconds_over_those_of_plain_generation(cost):
    loop, floor = cost.measure(2, "cpu", "float32")
    assert (loop["benchmark"], loop["numerator"]) == ("loop", "sample")
    assert (loop["low"], loop["high"], loop["at_least"]) == pytest.approx((50, 60, 60))
    assert (floor["benchmark"], floor["denominator"]) == ("floor", cost.PLAIN)
    assert (floor["low"], floor["high"], floor["at_most"]) == pytest.approx((0.25, 0.5, 1))
