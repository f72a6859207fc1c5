"""A mirror is looked in before a file's own URL, and filled with what was retrieved."""

import hashlib
import json
from dataclasses import replace

import pytest
from file_server import DATA, OTHER, fetch, make_source

from equitune.cli import run
from equitune.io.retrieve import RetrievalError, store


def test_a_mirror_folder_is_looked_in_first(server, tmp_path):
    mirror = tmp_path / "mirror"
    (mirror / "texts").mkdir(parents=True)
    (mirror / "texts" / "words.txt").write_bytes(DATA)
    path, _ = fetch(make_source(server.url), tmp_path / "new", mirror)
    assert path.read_bytes() == DATA
    assert server.requests == []
    assert (mirror / "texts" / "words.txt").exists()


@pytest.mark.parametrize("held", [None, OTHER, DATA[:10]], ids=["none", "another", "truncated"])
def test_a_mirror_folder_without_the_right_file_is_said_and_left(
    server, tmp_path, caplog, held, fails
):
    mirror = tmp_path / "mirror"
    (mirror / "texts").mkdir(parents=True)
    if held is not None:
        (mirror / "texts" / "words.txt").write_bytes(held)
    path, _ = fetch(make_source(server.url), tmp_path / "new", mirror)
    assert path.read_bytes() == DATA
    assert str(mirror / "texts" / "words.txt") in caplog.text
    server.script = [404]
    (tmp_path / "empty").mkdir()
    texts = f"{mirror / 'texts' / 'words.txt'} ", "answered 404"
    fails(make_source(server.url), tmp_path / "empty", *texts, mirror=mirror)


def test_a_mirror_url_is_asked_first(server, tmp_path):
    path, _ = fetch(make_source(), tmp_path, f"{server.url}/all/")
    assert path.read_bytes() == DATA
    assert server.requests == [("/all/texts/words.txt", None)]


def test_a_mirror_of_another_scheme_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"mirror 'ftp://a': expected a folder, or a URL"):
        fetch(make_source(), tmp_path, "ftp://a")


def test_a_file_that_only_a_mirror_has(server, tmp_path, fails):
    source = replace(make_source(server.url), url="")
    fails(source, tmp_path, "it has no URL of its own: put the file at texts/words.txt in a folder")
    assert server.requests == []
    folder = tmp_path / "mirror" / "texts"
    folder.mkdir(parents=True)
    fails(source, tmp_path, f"{folder / 'words.txt'} does not exist", mirror=tmp_path / "mirror")
    (folder / "words.txt").write_bytes(DATA)
    path, _ = fetch(source, tmp_path / "new", tmp_path / "mirror")
    assert path.read_bytes() == DATA


def test_a_file_is_stored_under_its_path_and_read_back(tmp_path):
    source = make_source()
    (tmp_path / "here.txt").write_bytes(DATA)
    stored = store(source, tmp_path / "here.txt", tmp_path / "mirror")
    assert stored == tmp_path / "mirror" / "texts" / "words.txt"
    path, _ = fetch(source, tmp_path / "new", tmp_path / "mirror")
    assert path.read_bytes() == DATA


def test_a_stored_file_that_is_right_is_kept_and_a_wrong_one_replaced(tmp_path):
    source = make_source()
    (tmp_path / "here.txt").write_bytes(DATA)
    stored = store(source, tmp_path / "here.txt", tmp_path)
    before = stored.stat().st_ino
    assert store(source, tmp_path / "here.txt", tmp_path).stat().st_ino == before
    stored.write_bytes(OTHER)
    assert store(source, tmp_path / "here.txt", tmp_path).read_bytes() == DATA


@pytest.mark.parametrize("held", [None, OTHER], ids=["none", "another"])
def test_a_wrong_file_is_not_stored(tmp_path, held):
    file = tmp_path / "here.txt"
    if held is not None:
        file.write_bytes(held)
    with pytest.raises(RetrievalError, match=r"here\.txt .*: retrieve it again") as error:
        store(make_source(), file, tmp_path / "mirror")
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "mirror").rglob("*.*"))


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A registry of one file and one model, and the results that hold them."""
    registry = tmp_path / "sources.csv"
    digest = make_source("").sha256
    registry.write_text(
        f"{','.join(vars(make_source('')))}\n"
        f"words,1,http://example.invalid/a,texts/words.txt,{digest},,{len(DATA)},MIT,A 2020,,,,\n"
        f"resnet18_imagenet,1,http://example.invalid/b,imagenet/r.pth,{digest},,{len(DATA)},MIT,A,,,,\n"
    )
    monkeypatch.setattr("equitune.io.registry.REGISTRY", registry)
    results = tmp_path / "results"
    model = {"config.json": b"{}", "model.safetensors": b"weights"}
    files = {
        "sources/texts/words.txt": DATA,
        "weights/resnet18.pth": DATA,
        **{f"language/hub/tiny/{name}": content for name, content in model.items()},
    }
    for name, content in files.items():
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).write_bytes(content)
    checksums = {name: hashlib.sha256(content).hexdigest() for name, content in model.items()}
    about = {"location": "someone/tiny", "revision": "1" * 40}
    manifest = json.dumps({"configuration": about, "inputs": checksums})
    (results / "language/hub/tiny/manifest.json").write_text(manifest)
    return results


def contents(folder):
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


@pytest.mark.parametrize("by_url", [False, True])
def test_what_was_retrieved_goes_to_another_site_and_comes_back(
    elsewhere, tmp_path, server, by_url
):
    folder = tmp_path / "for them"
    assert run(["mirror", str(folder), "--results", str(elsewhere)]) == 0
    assert set(contents(folder)) == {
        "texts/words.txt",
        "imagenet/r.pth",
        "hub/someone/tiny/config.json",
        "hub/someone/tiny/model.safetensors",
        "hub/someone/tiny/manifest.json",
    }
    server.files = {f"/{name}": content for name, content in contents(folder).items()}
    mirror, there = server.url if by_url else str(folder), tmp_path / "there"
    model = there / "language/hub/tiny/manifest.json"
    weights = there / "weights/resnet18.pth"
    named = ["--location", "someone/tiny", "--revision", "1" * 40, "--output", str(model)]
    for command in (
        ["retrieve", "words", "--output", str(there / "sources")],
        ["image", "weights", "--architecture", "resnet18", "--output", str(weights)],
        ["language", "fetch", *named],
    ):
        assert run([*command, "--mirror", mirror]) == 0
    before, after = contents(elsewhere), contents(there)
    assert before.keys() == after.keys()
    for name in before.keys() - {"language/hub/tiny/manifest.json"}:
        assert before[name] == after[name]


@pytest.mark.parametrize(
    "name", ["sources/texts/words.txt", "weights/resnet18.pth", "language/hub/tiny/config.json"]
)
def test_a_file_that_changed_since_is_not_passed_on(elsewhere, tmp_path, capsys, name):
    (elsewhere / name).write_bytes(OTHER)
    assert run(["mirror", str(tmp_path / "mirror"), "--results", str(elsewhere)]) == 1
    assert capsys.readouterr().err.count("retrieve it again") == 1
    assert OTHER not in contents(tmp_path / "mirror").values()


def test_results_without_anything_retrieved_are_one_line(tmp_path, capsys):
    assert run(["mirror", str(tmp_path / "mirror"), "--results", str(tmp_path)]) == 1
    line = f"equitune: error: {tmp_path} holds nothing that was retrieved: run snakemake retrieve\n"
    assert capsys.readouterr().err == line
    assert not (tmp_path / "mirror").exists()
