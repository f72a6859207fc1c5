"""Pairs take a byte for each id, in memory as in their file, until a batch is taken."""

import pytest
import torch
from allocated import most_bytes

from equitune.scan import data, grammar


@pytest.fixture(scope="module")
def split():
    """Every 5th line of add_jump as pairs."""
    return [
        [tuple(line.removeprefix("IN: ").split(" OUT: ")) for line in lines[::5]]
        for lines in grammar.split("add_jump")
    ]


@pytest.fixture(scope="module")
def path(split, tmp_path_factory):
    """The dataset on disk, a quarter of a megabyte."""
    path = tmp_path_factory.mktemp("scan") / "dataset.safetensors"
    data.save_dataset(path, data.build_dataset(*split, 0, 0.2), task="add_jump")
    return path


def test_pairs_are_encoded_once(split, tmp_path):
    path = tmp_path / "x"

    def work():
        data.save_dataset(path, data.build_dataset(*split, 0, 0.2), task="add_jump")

    assert most_bytes(work, tmp_path) < 6 * path.stat().st_size


def test_a_dataset_stays_in_its_file_until_a_batch_is_taken(path, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "CHUNK", 64)

    def work():
        train = data.load_dataset(path)[0]["train"].to("cpu")
        assert int(train.lengths.max()) == train.actions.shape[1]
        batch = train[torch.arange(8)].trimmed()
        assert {side.dtype for side in batch.sides} == {torch.int64}

    assert most_bytes(work, tmp_path, [path]) < path.stat().st_size
