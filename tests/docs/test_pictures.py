"""The pictures of the pages: what their captions say, and from the numbers that are named."""

import importlib.util

import pytest
import torch


def script(root, name):
    """The script that draws a picture, as a module."""
    file = root / f"docs/pictures/{name}.py"
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def before_after(root):
    return script(root, "before_after")


@pytest.fixture(scope="module")
def cost(root):
    return script(root, "cost")


def test_one_model_changes_its_mind_and_the_other_does_not(before_after, tmp_path):
    reading = before_after.compute()
    plain, equal = (reading.probabilities[method] for method in ("finetune", "equitune"))
    assert len(set(plain.argmax(-1).tolist())) == len(before_after.TURNS)
    assert plain.argmax(-1)[0] == reading.label
    assert set(equal.argmax(-1).tolist()) == {reading.label}
    torch.testing.assert_close(equal, equal[:1].expand_as(equal))
    before_after.draw(reading).savefig(tmp_path / "picture.svg")
    assert (tmp_path / "picture.svg").stat().st_size > 0


def test_the_page_of_costs_has_the_numbers_of_its_table(cost):
    page, rows = cost.PAGE.read_text(encoding="utf-8"), cost.read()
    assert cost.fill(page, rows) == page
    itself = rows["benchmark"].isin(["order", "memory"]) & (rows["order"] == 1)
    shown = (rows["n"] > 0) & ~itself
    assert cost.fill(page, rows.assign(ratio=0.123)).count("| 0.123 |") == shown.sum()
    assert rows["machine"].iloc[0] in page


def test_the_page_of_costs_names_every_aim_that_was_missed(cost):
    rows = cost.read()[:3].assign(at_least=[2, 2, None], at_most=[None, None, 1.05], n=5)
    lines = cost.missed(rows.assign(ratio=[1.9, 2.1, 1.06])).splitlines()
    assert [line.rpartition(", ")[2] for line in lines] == ["aim ≥ 2", "aim ≤ 1.05"]
    assert cost.missed(rows.assign(ratio=[2, 2, 1.05])) == "Nothing."


def test_the_pictures_of_costs_are_those_of_their_table(cost, tmp_path, monkeypatch):
    monkeypatch.setattr(cost, "FOLDER", tmp_path)
    cost.draw(cost.read())
    drawn = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert len(drawn) == len(cost.FIGURES)
    for name, picture in drawn.items():
        assert (cost.TABLE.parent / name).read_bytes() == picture, name
