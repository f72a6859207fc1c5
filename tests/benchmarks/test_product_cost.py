"""The forms for products of groups are what they say; how long they take is not tested."""

import pytest
import torch

from equitune.config import Permutation, Seq2SeqModel
from equitune.scan.data import COMMANDS
from equitune.scan.models import build

pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def cost(script):
    return script("product_cost")


@pytest.fixture
def rows(cost, monkeypatch):
    """Compare without timing."""
    monkeypatch.setattr(cost, "alternate", lambda works, rounds: [(1.0, 4.0, 4.0, 1.1)] * rounds)

    def table(*case):
        found = list(cost.compared(2, ("scan", "LSTM", "a setting"), cost.Case(*case)))
        return {(r["benchmark"], r["numerator"]): r for r in found}

    return table


def check(found):
    """All forms are exact; the mean over the whole group is the nearest to the model."""
    for form in ("all copies", "additive", "frame"):
        error = found["product_error", form]
        assert error["value"] < 1e-12 < 1e-3 < error["denominator_value"]
    near, far = (found["product_distance", name]["value"] for name in ("all copies", "frame"))
    assert 0 < near < found["product_distance", "additive"]["value"]
    assert near < far
    assert found["product_time", "frame"]["ratio"] == pytest.approx(1.1)


def test_scan_with_two_groups_at_once(cost, rows):
    torch.manual_seed(0)
    sizes = Seq2SeqModel(embedding=5, hidden=6)
    module = build("LSTM", sizes, "pretrained", Permutation()).module.double().eval()
    specs = cost.SCAN_GROUPS["four verbs and a pair"]
    sides = zip(*(cost.word_group(spec) for spec in specs), strict=True)
    words, actions = (cost.together(side) for side in sides)
    assert words.group.order == 8
    inputs = torch.randint(2, len(COMMANDS), (6, 5)), torch.randint(0, 6, (6, 4))
    forms = cost.scan_forms(module, specs)
    check(rows(forms, (words, actions), actions.on_logits(), inputs))


def test_a_language_model_with_two_pairs(cost, rows, monkeypatch):
    monkeypatch.setattr(cost, "PROMPTS", 4)
    monkeypatch.setattr(cost, "AXES", cost.AXES[:1])
    found = {(r["benchmark"], r["numerator"]): r for r in cost.language_rows(2)}
    check(found)


def test_the_frame_of_a_command_is_the_first_in_alphabetical_order(cost):
    rows = [[3, 2, 9], [2, 12, 14], [2, 13, 0]]
    places = cost.alphabetical(torch.tensor(rows), torch.empty(0))
    assert [rows[i] for i in places.argsort().tolist()] == sorted(rows)


def test_a_model_that_is_equivariant_already_is_changed_by_the_sum_alone(cost):
    found = {row["numerator"]: row["value"] for row in cost.projection_rows()}
    assert found == {"all copies": 1.0, "additive": 0.75}
