"""Models of the hub come whole or not at all, from a mirror first, and without pickles."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import file_server
import huggingface_hub
import pytest
from huggingface_hub import RepoFile

from equitune.io.files import sha256
from equitune.io.registry import sources
from equitune.io.retrieve import RetrievalError
from equitune.language import hub

LOCATION, REVISION = "someone/tiny-gpt", "1" * 40
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


def entry(name, content):
    """What the hub says of a file: the checksum of its bytes if it is large, else git's."""
    lfs = {"size": len(content), "oid": hashlib.sha256(content).hexdigest(), "pointerSize": 1}
    blob = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
    large = name.endswith(".safetensors")
    return RepoFile(path=name, size=len(content), oid=blob, lfs=lfs if large else None)


@pytest.fixture
def asked(monkeypatch):
    """A hub that brings FILES; what it was asked for."""
    calls = []

    def snapshot_download(location, *, revision, local_dir, **patterns):
        calls.append((location, revision, patterns))
        put(Path(local_dir), FILES)
        put(Path(local_dir) / ".cache" / "huggingface", {"config.json.metadata": b"notes"})
        return str(local_dir)

    def get_paths_info(self, location, names, *, revision):
        assert (location, revision) == (LOCATION, REVISION)
        return [entry(name, FILES[name]) for name in names]

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.setattr(huggingface_hub.HfApi, "get_paths_info", get_paths_info)
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
def test_a_mirror_is_looked_in_first_and_said_to_be_unchecked(mirror, manifest, caplog):
    hub.fetch(LOCATION, REVISION, manifest, str(mirror))
    check(manifest)
    assert f"{mirror / 'hub' / LOCATION} has no manifest.json" in caplog.text


@pytest.mark.parametrize("other", ["none", "an empty one", "one that does not answer"])
def test_what_no_mirror_has_comes_from_the_hub_at_its_commit(asked, manifest, tmp_path, other):
    with file_server.nobody() as url:
        mirrors = {"none": None, "an empty one": str(tmp_path / "empty")}
        hub.fetch(LOCATION, REVISION, manifest, mirrors.get(other, url))
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
    with pytest.raises(RetrievalError, match=r"tiny-gpt has no \*\.safetensors: choose a revision"):
        hub.fetch(LOCATION, REVISION, manifest, str(mirror))
    assert not manifest.parent.exists()
    hub.fetch(LOCATION, REVISION, manifest)  # without that mirror
    check(manifest)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_another_file_than_the_hubs_is_refused(manifest, asked, monkeypatch, name):
    def get_paths_info(self, location, names, *, revision):
        return [entry(each, b"other" if each == name else FILES[each]) for each in names]

    monkeypatch.setattr(huggingface_hub.HfApi, "get_paths_info", get_paths_info)
    text = rf"{LOCATION} at {REVISION}: {name} arrived with another checksum"
    with pytest.raises(RetrievalError, match=text):
        hub.fetch(LOCATION, REVISION, manifest)
    assert not any(manifest.parent.parent.iterdir())


@pytest.fixture
def filled(tmp_path, manifest, mirror):
    """A mirror that the project filled."""
    hub.fetch(LOCATION, REVISION, manifest, str(mirror))
    hub.export(manifest, tmp_path / "filled")
    return tmp_path / "filled"


@pytest.mark.usefixtures("_no_network")
def test_a_mirror_that_was_filled_is_checked(filled, tmp_path):
    there = tmp_path / "there" / "gpt2" / "manifest.json"
    hub.fetch(LOCATION, REVISION, there, str(filled))
    check(there)
    (filled / "hub" / LOCATION / "model.safetensors").write_bytes(b"no weight")
    (filled / "hub" / LOCATION / "extra.json").write_bytes(b"not of the manifest")
    with file_server.serve() as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub, "_address", lambda *names: f"{server.url}/{names[2]}")
        server.files = {"/model.safetensors": b"weights"}  # the hub has the right one
        hub.fetch(LOCATION, REVISION, there, str(filled))
        check(there)
        server.files = {"/model.safetensors": b"neither"}
        with pytest.raises(RetrievalError, match=f"{LOCATION}/model.safetensors: .* has sha256"):
            hub.fetch(LOCATION, REVISION, there, str(filled))
    assert held(there.parent) == FILES


@pytest.mark.usefixtures("asked")
def test_a_mirror_of_another_commit_is_left(filled, manifest, caplog):
    text = (filled / "hub" / LOCATION / "manifest.json").read_text()
    (filled / "hub" / LOCATION / "manifest.json").write_text(text.replace(REVISION, "2" * 40))
    hub.fetch(LOCATION, REVISION, manifest, str(filled))
    check(manifest)
    assert f"the mirror has {LOCATION} at {'2' * 40}, not at {REVISION}" in caplog.text


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"configuration": {}, "inputs": {"../a": ""}}', '{"inputs": 3}', "\xff"],
)
def test_a_manifest_that_says_nothing_is_one_line(filled, manifest, text):
    (filled / "hub" / LOCATION / "manifest.json").write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=r"manifest\.json beside a model of the hub") as error:
        hub.fetch(LOCATION, REVISION, manifest, str(filled))
    assert "\n" not in str(error.value)


def test_files_of_the_registry_come_one_by_one_and_are_checked(manifest, monkeypatch):
    row = next(iter(sources().values()))
    rows = {
        name: replace(
            row,
            name=f"tiny_{number}",
            version=REVISION,
            mirror=f"hub/{LOCATION}/{name}",
            sha256=hashlib.sha256(content).hexdigest(),
            bytes=len(content),
        )
        for number, (name, content) in enumerate(FILES.items())
    }
    monkeypatch.setattr(hub, "sources", lambda: rows)
    with file_server.serve() as server:
        monkeypatch.setattr(hub, "_address", lambda *names: f"{server.url}/{names[2]}")
        server.files = {f"/{name}": content for name, content in FILES.items()}
        hub.fetch(LOCATION, REVISION, manifest)
        check(manifest)
        server.files["/vocab.json"] = b'{"b": 0}'
        with pytest.raises(RetrievalError, match=r"tiny_2: .*/vocab\.json has sha256"):
            hub.fetch(LOCATION, REVISION, manifest)


def test_the_address_is_the_hubs(monkeypatch):
    assert hub._address(LOCATION, REVISION, "config.json") == (
        f"https://huggingface.co/{LOCATION}/resolve/{REVISION}/config.json"
    )
