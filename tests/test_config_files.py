"""The configuration: shipped files, schema and docs agree, and files are merged key by key."""

import copy
import json

import jsonschema
import pytest
import yaml

from equitune import config


@pytest.mark.parametrize("name", ["config.yaml", "paper.yaml"])
def test_the_shipped_configurations_are_valid(root, default, name):
    merged = copy.deepcopy(default)
    config.merge(merged, yaml.safe_load((root / "config" / name).read_text()))
    assert isinstance(config.load(merged), config.Config)
    schema = json.loads((root / "workflow/schemas/config.schema.json").read_text())
    jsonschema.validate(merged, schema)


def test_paper_runs_every_method_with_ten_seeds(root, default):
    merged = copy.deepcopy(default)
    config.merge(merged, yaml.safe_load((root / "config" / "paper.yaml").read_text()))
    scan = config.load(merged).scan
    assert set(scan.methods) == set(config.SCAN_METHODS)
    assert len(scan.seeds) == 10
    assert scan.pretraining["LSTM"].learning_rate == default_rate(default)


def default_rate(default):
    return default["scan"]["pretraining"]["LSTM"]["learning_rate"]


def test_the_default_has_every_key_of_the_schema(default):
    """Schema defaults are not applied in remote jobs by some Snakemakes: the file is complete."""
    kinds = {"scan": config.Scan, "retrieve": config.Retrieve, "language": config.Language}
    for section, kind in kinds.items():
        assert default[section].keys() == kind.__dataclass_fields__.keys()
    assert default.keys() == config.Config.__dataclass_fields__.keys()


def test_the_written_schema_and_docs_are_those_of_the_dataclasses(root):
    written = json.loads((root / "workflow/schemas/config.schema.json").read_text())
    assert written == config.schema()
    assert config.docs() in (root / "config" / "README.md").read_text()


def test_every_key_has_a_meaning():
    cells = [line.split(" | ") for line in config.docs().splitlines()[2:]]
    assert len(cells) > 40
    assert all(row[-1].strip(" |") for row in cells)


def test_the_default_run_shows_a_real_model_without_data_of_regard(default):
    language = config.load(default).language
    assert language.models == ["small", "smollm2"]
    assert language.sources["smollm2"].text is None
    # five contexts; the issue of 250 texts a demographic
    assert 5 * language.of("smollm2").sampling.samples >= 250
    assert {language.scorers[language.of(name).scorer].kind for name in language.models} <= {
        "words",
        "sentiment",
    }


def test_merging_goes_key_by_key_and_replaces_lists():
    base = {"a": {"x": [1, 2], "y": 1}, "b": 2}
    config.merge(base, {"a": {"x": [3]}, "c": {"z": 1}})
    assert base == {"a": {"x": [3], "y": 1}, "b": 2, "c": {"z": 1}}


@pytest.mark.parametrize("name", ["paper", "pretrained", "cifar10_small", "distilled"])
def test_the_difference_of_two_configurations_merges_to_the_second(root, default, name):
    merged = copy.deepcopy(default)
    config.merge(merged, yaml.safe_load((root / f"config/{name}.yaml").read_text()))
    merged["image"]["subset"], merged["scan"]["subset"] = None, 7
    between = config.difference(default, merged)
    assert between["scan"]["subset"] == 7
    assert "validation_fraction" not in between.get("image", {})
    again = copy.deepcopy(default)
    config.merge(again, between)
    assert again == merged
    assert config.difference(merged, again) == {}
