"""Models of the hub come whole or not at all, from a mirror first, and without pickles."""

import json
from pathlib import Path

import huggingface_hub
import pytest

from equitune.files import sha256
from equitune.language import hub
from equitune.retrieve import RetrievalError

LOCATION, REVISION = "openai-community/gpt2", "607a30d783dfa663caf39e06633721c8d4cfcd7e"
FILES = {"config.json": b"{}", "model.safetensors": b"weights", "vocab.json": b'{"a": 0}'}


def put(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


@pytest.fixture
def mirror(tmp_path):
    put(tmp_path / "mirror" / "hub" / LOCATION, FILES)
    return tmp_path / "mirror"


@pytest.fixture
def manifest(tmp_path):
    return tmp_path / "models" / "gpt2" / "manifest.json"


@pytest.fixture
def asked(monkeypatch):
    """A hub that brings FILES; what it was asked for."""
    calls = []

    def snapshot_download(location, *, revision, local_dir, **patterns):
        calls.append((location, revision, patterns))
        put(Path(local_dir), FILES)
        put(Path(local_dir) / ".cache" / "huggingface", {"config.json.metadata": b"notes"})
        return str(local_dir)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return calls


@pytest.fixture
def _no_network(monkeypatch):
    def snapshot_download(location, *, local_dir, **options):
        put(Path(local_dir), {"config.json": b"{}"})
        raise ConnectionError("cannot reach\nthe hub")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)


def held(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name in FILES}


def check(manifest):
    """Check that all files stand there, with their checksums in the manifest, and nothing else."""
    folder = manifest.parent
    assert held(folder) == FILES
    assert {path.name for path in folder.iterdir()} == {*FILES, "manifest.json"}
    facts = json.loads(manifest.read_text())
    assert facts["configuration"] == {"location": LOCATION, "revision": REVISION}
    assert facts["inputs"] == {name: sha256(folder / name) for name in FILES}
    assert [path.name for path in folder.parent.iterdir()] == ["gpt2"]


@pytest.mark.usefixtures("_no_network")
def test_a_mirror_is_looked_in_first(mirror, manifest):
    hub.fetch(LOCATION, REVISION, manifest, str(mirror))
    check(manifest)


@pytest.mark.parametrize("other", [None, "empty", "https://mirror.example"])
def test_what_no_mirror_has_comes_from_the_hub_at_its_commit(asked, manifest, tmp_path, other):
    mirror = str(tmp_path / other) if other == "empty" else other
    hub.fetch(LOCATION, REVISION, manifest, mirror)
    check(manifest)
    ((location, revision, patterns),) = asked
    assert (location, revision) == (LOCATION, REVISION)
    assert "*.safetensors" in patterns["allow_patterns"]
    assert not any("bin" in name or name == "*" for name in patterns["allow_patterns"])


def test_the_files_of_the_last_fetch_are_replaced(asked, manifest):
    put(manifest.parent, {"model-00002.safetensors": b"of another revision"})
    hub.fetch(LOCATION, REVISION, manifest)
    check(manifest)


@pytest.mark.usefixtures("_no_network")
@pytest.mark.parametrize("mirror", [None, "elsewhere"])
def test_without_a_network_one_line_says_where_to_put_the_files(manifest, mirror):
    with pytest.raises(RetrievalError) as caught:
        hub.fetch(LOCATION, REVISION, manifest, mirror)
    message = str(caught.value)
    assert message.startswith(f"{LOCATION} at {REVISION}: cannot reach the hub: check the network")
    place = Path(mirror or "") / "hub" / LOCATION
    assert f"put its files into {place} and name that mirror (retrieve.mirror)" in message
    assert "\n" not in message
    assert not manifest.parent.exists()


@pytest.mark.usefixtures("_no_network")
def test_a_failed_fetch_leaves_the_model_that_is_there(manifest):
    put(manifest.parent, FILES)
    with pytest.raises(RetrievalError):
        hub.fetch(LOCATION, REVISION, manifest)
    assert held(manifest.parent) == FILES


def test_pickles_are_no_weights_and_nothing_of_them_is_kept(mirror, manifest, asked):
    folder = mirror / "hub" / LOCATION
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(RetrievalError, match=r"gpt2 has no \*\.safetensors: choose a revision"):
        hub.fetch(LOCATION, REVISION, manifest, str(mirror))
    assert not manifest.parent.exists()
    hub.fetch(LOCATION, REVISION, manifest)  # without that mirror
    check(manifest)
