"""A run notes which packages it had, and a mirror is filled with what they hold."""

import json

import pytest
from file_server import DATA
from small_wheels import ADVICE, MEMBERS, alone
from tiny_gguf import write_wheel

from equitune.cli import run
from equitune.io.registry import sources

pytestmark = pytest.mark.usefixtures("index")  # no other index is asked


@pytest.fixture
def registered(built, tmp_path, monkeypatch):
    """A registry of the one file."""
    source = built[1]
    values = vars(source)
    registry = tmp_path / "sources.csv"
    registry.write_text(f"{','.join(values)}\n{','.join(map(str, values.values()))}\n")
    monkeypatch.setattr("equitune.io.registry.REGISTRY", registry)
    assert sources() == {"tiny": source}
    return source


@pytest.mark.usefixtures("registered")
def test_a_run_notes_what_it_had_and_what_not(built, index, place, tmp_path, capfd):
    folder, note = place.parents[1], tmp_path / "notes" / "tiny.json"
    command = ["package", "tiny", "--folder", str(folder), "--output", str(note)]
    assert run(command) == 0
    (line,) = [each for each in capfd.readouterr().err.splitlines() if "left out: tiny: " in each]
    assert line.endswith(f"{ADVICE}; then delete {note} and run again")
    facts = json.loads(note.read_text())
    assert (facts["package"], facts["version"], facts["available"]) == ("tiny-model", "1.2", False)
    assert "No matching distribution" in facts["reason"]
    table = tmp_path / "packages.csv"
    assert run(["packages", str(note), "--output", str(table)]) == 0
    header, row = table.read_text().splitlines()
    assert header == "source,package,version,licence,state"
    assert row.startswith('tiny,tiny-model,1.2,MIT,"left out: tiny: pip download tiny-model==1.2:')
    built[0].rename(index / built[0].name)
    assert run(command) == 0
    assert alone(place)
    assert run(["packages", str(note), "--output", str(table)]) == 0
    assert table.read_text().splitlines()[1] == "tiny,tiny-model,1.2,MIT,used"


@pytest.mark.usefixtures("registered")
def test_a_wrong_wheel_stops_the_run_and_is_not_noted(index, place, tmp_path, capfd):
    write_wheel(index, MEMBERS | {"tiny_model/more.py": b""})
    note = tmp_path / "notes" / "tiny.json"
    command = ["package", "tiny", "--folder", str(place.parents[1]), "--output", str(note)]
    assert run(command) == 1
    error = capfd.readouterr().err.splitlines()[-1]
    assert error.startswith("equitune: error: tiny: tiny_model-1.2-py3-none-any.whl has sha256")
    assert not note.exists()
    assert list(place.parent.iterdir()) == []


@pytest.mark.usefixtures("registered")
def test_an_unknown_file_and_a_note_that_is_none_are_one_line(tmp_path, capfd):
    note, table = tmp_path / "note.json", tmp_path / "table.csv"
    assert run(["package", "tiny_", "--folder", str(tmp_path), "--output", str(note)]) == 1
    assert "unknown file of a wheel 'tiny_'; did you mean 'tiny'" in capfd.readouterr().err
    assert run(["packages", str(note), "--output", str(table)]) == 1
    assert "note.json does not exist: run snakemake retrieve" in capfd.readouterr().err
    for text in ("", "{}", "[]"):
        note.write_text(text)
        assert run(["packages", str(note), "--output", str(table)]) == 1
        assert "note.json is not a note on a package: delete it" in capfd.readouterr().err
    assert not table.exists()


@pytest.mark.usefixtures("registered")
def test_a_mirror_is_filled_with_the_member(place, tmp_path):
    held = tmp_path / "results" / "sources" / "packages"
    held.mkdir(parents=True)
    (held / "weights.bin").write_bytes(DATA)
    mirror = tmp_path / "mirror"
    assert run(["mirror", str(mirror), "--results", str(tmp_path / "results")]) == 0
    folder = str(place.parents[1])
    assert run(["retrieve", "tiny", "--output", folder, "--mirror", str(mirror)]) == 0
    assert alone(place)
