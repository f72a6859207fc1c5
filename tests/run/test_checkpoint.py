"""A state is taken up by the run that wrote it, and by no other."""

import logging
from dataclasses import replace

import pytest
import torch

from equitune.run import checkpoint, determinism

OUTPUT = "results/scan/add_jump/GRU/seed0/equitune/jump_run/model.safetensors"


@pytest.fixture
def state(tmp_path):
    return checkpoint.state_of(tmp_path / "states", tmp_path / OUTPUT, {"seed": 0})


def test_what_was_saved_is_loaded(state):
    content = {"step": 3, "weights": torch.arange(3.0), "best": None, "history": {4: 0.5}}
    state.save(content)
    loaded = state.load()
    assert torch.equal(loaded.pop("weights"), content.pop("weights"))
    assert loaded == content
    assert [x.name for x in state.path.parent.iterdir()] == [state.path.name]


def test_the_name_says_whose_it_is(state):
    assert state.path.name == f"scan-add_jump-GRU-seed0-equitune-jump_run.{state.key}.pt"


def test_no_folder_no_state(tmp_path):
    assert checkpoint.state_of(None, tmp_path / OUTPUT, {"seed": 0}) is None


def test_remove_forgives_a_missing_file(state):
    state.save({})
    state.remove()
    assert list(state.path.parent.iterdir()) == []
    state.remove()


def test_keys_differ_by_facts_versions_and_determinism(state, tmp_path, monkeypatch):
    def key(**facts):
        return checkpoint.state_of(tmp_path, tmp_path / OUTPUT, facts).key

    assert key(seed=0) == state.key
    assert key(seed=1) != state.key
    assert key(seed=0, inputs={"data": "a"}) != key(seed=0, inputs={"data": "b"})
    monkeypatch.setattr(determinism, "_level", "fast")
    assert key(seed=0) != state.key
    monkeypatch.setattr(determinism, "_level", "seeded")
    monkeypatch.setattr(checkpoint, "versions", lambda: {"torch": "1.0"})
    assert key(seed=0) != state.key


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("truncated", "is not a readable state"),
        ("foreign", "is not a readable state"),
        ("old", "is a state of version 2, not 4"),
        ("renamed", "is the state of another run"),
    ],
)
def test_an_unusable_state_is_named_and_refused(state, caplog, damage, words):
    state.save({"step": 3, "weights": torch.zeros(1000)})
    if damage == "truncated":
        state.path.write_bytes(state.path.read_bytes()[:1000])
    elif damage == "foreign":
        state.path.write_text("not a state")
    elif damage == "old":
        torch.save({"version": 2, "key": state.key, "content": {}}, state.path)
    else:
        replace(state, key="0" * 16).save({"step": 3})
    with caplog.at_level(logging.WARNING):
        assert state.load() is None
    assert f"{state.path} {words}" in caplog.text
    assert "training starts afresh" in caplog.text


def test_a_state_can_run_no_code(state, tmp_path, caplog):
    class Harmful:
        def __reduce__(self):
            return open, (str(tmp_path / "written"), "w")

    state.path.parent.mkdir()
    torch.save({"version": checkpoint.VERSION, "key": state.key, "content": Harmful()}, state.path)
    assert state.load() is None
    assert not (tmp_path / "written").exists()


def test_a_state_of_other_settings_is_removed_with_a_line(state, tmp_path, caplog):
    folder = state.path.parent
    other = checkpoint.state_of(folder, tmp_path / OUTPUT, {"seed": 0, "rate": 2})
    neighbour = checkpoint.state_of(
        folder, tmp_path / OUTPUT.replace("jump_run", "verbs"), {"seed": 0}
    )
    for each in (other, neighbour):
        each.save({})
    with caplog.at_level(logging.WARNING):
        assert state.load() is None
    assert f"{other.path} is of other settings, inputs or versions: removed" in caplog.text
    assert [x.name for x in folder.iterdir()] == [neighbour.path.name]
