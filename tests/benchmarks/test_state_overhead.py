"""What is written and timed is the state of real training; how long it takes is not tested."""

import json

import pytest
import yaml
from torch import nn

from equitune import config as configuration
from equitune.config import Training

pytest.importorskip("transformers")

WEIGHTS = 4 * 200 * 200  # bytes


@pytest.fixture(scope="module")
def overhead(script):
    return script("state_overhead")


@pytest.fixture(scope="module")
def config(root):
    return configuration.load(yaml.safe_load((root / "config/config.yaml").read_text()))


@pytest.mark.parametrize(
    ("settings", "copies"),
    [
        ({"optimizer": "sgd"}, 2),  # weights, momentum
        ({"optimizer": "adamw"}, 3),  # weights, two moments
        ({"optimizer": "adamw", "patience": 10}, 4),  # and the best weights
    ],
)
def test_a_state_holds_what_that_of_training_holds(
    overhead, settings, copies, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    training = Training(steps=1000, batch_size=8, learning_rate=1e-3, **settings)
    written = overhead.writes(nn.Linear(200, 200, bias=False), training, rounds=3)
    assert len(written) == 3
    for taken, size in written:
        assert taken > 0
        assert copies * WEIGHTS < size < (copies + 0.3) * WEIGHTS  # and generators
    assert list(tmp_path.iterdir()) == []


def test_every_model_that_a_configuration_trains_is_measured(overhead, config):
    found = {
        (experiment, name): order for experiment, name, _, order, _ in overhead.candidates(config)
    }
    expected = {("scan", name): 2 for name in config.scan.architectures}
    expected |= {("image", name): 4 for name in config.image.architectures}
    assert found == expected | {("language", "small GPT-2"): 1}


def test_a_share_is_of_the_seconds_between_two_writes(overhead, config, monkeypatch):
    monkeypatch.setattr(overhead, "writes", lambda *_: [(s, 2_000_000) for s in (0.3, 0.6, 0.9)])
    model = nn.Linear(2, 2)
    training = config.scan.tuning["GRU"]
    row = overhead.measure(("scan", "GRU", model, 2, training), "this run", 3)
    assert training.save_seconds == 30
    assert (row["low"], row["ratio"], row["high"]) == pytest.approx((0.01, 0.02, 0.03))
    assert (row["at_most"], row["note"]) == (0.03, "2 MB")


def test_a_trained_model_tells_its_own_share(overhead, tmp_path):
    cycles = {"commands": [["jump", "run", "walk"]], "actions": [["I_JUMP", "I_RUN", "I_WALK"]]}
    about = {"architecture": "GRU", "method": "equitune", "permutation": cycles}
    facts = {"configuration": about, "train_seconds": 50.0, "state_seconds": 1.0}
    (tmp_path / "manifest.json").write_text(json.dumps(facts))
    row = overhead.reported(tmp_path / "model.safetensors")
    assert (row["model"], row["setting"], row["order"]) == ("GRU", "equitune", 3)
    assert (row["ratio"], row["n"]) == (0.02, 1)
