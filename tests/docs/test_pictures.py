"""The picture of before and after: a real computation, and what its caption says."""

import importlib.util

import pytest
import torch


@pytest.fixture(scope="module")
def before_after(root):
    """The script that draws the picture."""
    file = root / "docs/pictures/before_after.py"
    spec = importlib.util.spec_from_file_location("before_after", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_one_model_changes_its_mind_and_the_other_does_not(before_after, tmp_path):
    reading = before_after.compute()
    plain, equal = (reading.probabilities[method] for method in ("finetune", "equitune"))
    assert len(set(plain.argmax(-1).tolist())) == len(before_after.TURNS)
    assert plain.argmax(-1)[0] == reading.label
    assert set(equal.argmax(-1).tolist()) == {reading.label}
    torch.testing.assert_close(equal, equal[:1].expand_as(equal))
    before_after.draw(reading).savefig(tmp_path / "picture.svg")
    assert (tmp_path / "picture.svg").stat().st_size > 0
