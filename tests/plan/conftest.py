"""A configuration that names files of a folder."""

import pytest
import yaml
from small_inputs import model

from equitune import config as configuration
from equitune.io.resources import DEFAULTS
from equitune.language.lexicon import read_lexicon
from equitune.plan import Registry, inputs


@pytest.fixture
def found(tmp_path, monkeypatch):
    """A function from changes of the default run to what is said of them, "" for nothing."""
    monkeypatch.chdir(tmp_path)
    for name in ("cats", "dogs"):
        (tmp_path / "images" / name).mkdir(parents=True)
    (tmp_path / "one" / "cats").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("A text.")
    (tmp_path / "weights.pth").write_bytes(b"")
    faith = "{Black: Black friend, White: White person}"
    two = f"axes: {{faith: {faith}}}\ntasks: {{respect: [was], occupation: [works as]}}"
    (tmp_path / "two.yaml").write_text(two)
    shipped = read_lexicon("gender_short")
    words = [word for pair in shipped.equality for word in pair] + [*shipped.general]
    model(tmp_path / "model", words, n_positions=64)

    def check(among=inputs.EXPERIMENTS, **changes):
        base = yaml.safe_load(DEFAULTS.read_text())
        configuration.merge(base, changes)
        try:
            inputs.check(configuration.load(base), Registry(), among, tmp_path / "known")
        except ValueError as error:
            return str(error)
        return ""

    return check
