"""What a configuration names on this machine is looked at before the first job."""

import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from small_inputs import model
from snakemake.jobs import Job

from equitune import cli, failures
from equitune.language.corpus import CORPUS
from equitune.plan import inputs


def lines(train="text.txt", test="text.txt"):
    """The SCAN experiment with lines of one's own."""
    return {
        "tasks": ["moves"],
        "splits": {"moves": {"train": train, "test": test}},
        "groups": {"moves": ["jump_run"]},
    }


def language(**own):
    """The language experiment with a model of one's own."""
    source = {"kind": "folder", "location": "model"} | own
    return {
        "models": ["own"],
        "axes": ["gender"],
        "sources": {"own": source},
        "block": 32,
    }


def images(**changes):
    source = {"kind": "folder", "size": 32, "location": "images"}
    return {"datasets": ["own"], "sources": {"own": source}} | changes


def test_what_is_there_is_silent(found):
    assert found() == ""
    assert found(image=images(), language=language(text="text.txt")) == ""
    assert found(image=images(weights="weights.pth")) == ""
    assert found(scan=lines()) == ""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"image": {"architectures": ["resnett18"]}},
            "image.architectures: unknown architecture 'resnett18'; did you mean 'resnet18'",
        ),
        (
            {"image": {"architectures": ["vit_b_16"]}},
            "image.pretraining: nothing for vit_b_16; add image.pretraining.vit_b_16",
        ),
        (
            {"image": images(sources={"own": {"kind": "folder", "size": 8, "location": "imgs"}})},
            "image.sources.own.location: imgs does not exist: expected a folder",
        ),
        (
            {"image": images(weights="none.pth")},
            "image.weights: none.pth does not exist: expected a file of weights",
        ),
        (
            {"image": {"builders": {"resnet18": {"weights": "none.pth"}}}},
            "image.builders.resnet18.weights: none.pth does not exist",
        ),
        (
            {"language": language(location="modle")},
            "language.sources.own.location: modle does not exist: expected a folder of a model",
        ),
        (
            {"language": language(location="images")},
            "language.sources.own.location: images has no config.json: expected a folder",
        ),
        (
            {"language": language(text="none.txt")},
            "language.sources.own.text: none.txt does not exist: expected a file of text",
        ),
        (
            {"language": language(text="text.txt") | {"block": 128}},
            "language.block is 128, too long as own sees 64 tokens: set at most 64",
        ),
        (
            {"language": {"sampling": {"new_tokens": 40}}},
            "language.sampling.new_tokens is 40, which leaves no room for a prompt, as small sees",
        ),
        (
            {"language": {"tuning": {"models": ["small"], "text": "none.txt"}}},
            "language.tuning.block is 128, too long as small sees 32 tokens",
        ),
        (
            {"language": {"prompts": "none.yaml"}},
            "language.prompts: none.yaml does not exist: expected a file of prompts",
        ),
        ({"language": {"tasks": ["respekt"]}}, "language.prompts: "),
        (
            {"language": {"lexicons": {"race": "./none.yaml"}}},
            "language.lexicons.race: ",
        ),
        (
            {"language": language() | {"lexicons": {"gender": "gender"}}},
            "language.lexicons.gender does not fit own: ",
        ),
        (
            {"language": language() | {"lexicons": {"gender": "religion"}}},
            "language.lexicons.gender: lexicon religion does not move 'man' of the prompts; its "
            "demographics are Christian, Muslim, Jewish: name a lexicon that",
        ),
        (
            {
                "language": {
                    "prompts": "two.yaml",
                    "axes": ["faith"],
                    "lexicons": {"faith": "race"},
                }
            },
            "language.lexicons.faith: lexicon race moves 'Black friend' of the prompts to 'White "
            "friend', and not to 'White person'; its demographics are Black, White",
        ),
    ],
    ids=[
        "architecture",
        "no training settings",
        "images",
        "weights",
        "own weights",
        "model",
        "no model in the folder",
        "text",
        "block",
        "new tokens",
        "tuning",
        "prompts",
        "task",
        "lexicon",
        "lexicon that does not fit",
        "lexicon that moves no demographic",
        "lexicon that moves them elsewhere",
    ],
)
def test_what_is_missing_or_does_not_fit_is_one_line(found, changes, message):
    said = found(**changes)
    assert said.startswith(f"config: {message}")
    assert "\n" not in said


def test_a_relaxed_method_needs_general_words(found):
    Path("strict.yaml").write_text("demographics: [man, woman]\nequality: []\ngeneral: []\n")
    settings = language() | {"lexicons": {"gender": "strict.yaml"}}
    said = found(language=settings | {"methods": ["plain", "equi", "relaxed"]})
    assert said.startswith("config: language.lexicons.gender: strict.yaml has no general words")
    assert said.endswith("leave relaxed out of language.methods")
    assert found(language=settings | {"methods": ["plain", "equi"]}) == ""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"axes": ["faith"], "prompts": "two.yaml", "lexicons": {"faith": "faith.yaml"}},
            "language.prompts does not fit small: {corpus} has no axis 'faith' under probabilities",
        ),
        (
            {"axes": ["gender"], "lexicons": {"gender": "gender"}},
            "language.lexicons.gender does not fit small: lexicon gender: 'men' (and ",
        ),
    ],
    ids=["prompts", "lexicon"],
)
def test_what_a_model_of_the_generated_corpus_will_not_know(found, changes, message):
    Path("faith.yaml").write_text("demographics: [Black, White]\nequality: []\ngeneral: []\n")
    Path("two.yaml").write_text(Path("two.yaml").read_text().replace("friend", "person"))
    said = found(language={"models": ["small"], "methods": ["plain"], **changes})
    assert said.startswith("config: " + message.format(corpus=CORPUS))
    assert found(language={"models": ["small"]}) == ""


def test_a_lexicon_that_fits_is_read_against_a_tokenizer_once(found, tmp_path, monkeypatch):
    settings = {"language": language()}
    assert found(**settings) == ""

    def again(*_):
        raise AssertionError("the tokenizer was loaded again")

    monkeypatch.setattr(inputs, "_unfitting", again)
    assert found(**settings) == ""
    (tmp_path / "model/tokenizer.json").touch()
    with pytest.raises(AssertionError, match="again"):
        found(**settings)


def test_only_the_experiments_that_are_asked_for_are_looked_at(found):
    broken = {"image": images(weights="none.pth")}
    assert found(**broken)
    assert found(["scan", "language"], **broken) == ""
    assert inputs.experiments([]) == ["scan", "image", "language"]
    assert inputs.experiments(["all", "report"]) == ["scan", "image", "language"]
    assert inputs.experiments(["report"]) == inputs.experiments(["figures"]) == []
    assert inputs.experiments(["report_scan"]) == ["scan"]
    assert inputs.experiments(["shown_there_scan"]) == []
    assert inputs.experiments(["scan", "figures"]) == ["scan"]
    assert inputs.experiments(["plot_image_orbit", "results/language/x.csv"]) == [
        "image",
        "language",
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"scan": lines(train="trian.txt")},
            "scan.splits.moves.train: trian.txt does not exist: expected a file of lines IN: … "
            "OUT: … (looked at {}/trian.txt)",
        ),
        (
            {"scan": lines(test="images")},
            "scan.splits.moves.test: images is a folder: expected a file of lines IN: … OUT: … "
            "(looked at {}/images)",
        ),
        (
            {"image": images(weights="images")},
            "image.weights: images is a folder: expected a file of weights; or imagenet, or self "
            "(looked at {}/images)",
        ),
        (
            {"image": images(weights="text.txt")},
            "image.weights: text.txt has suffix '.txt': expected one of .pt, .pth, .safetensors",
        ),
        (
            {"language": language(location="text.txt")},
            "language.sources.own.location: text.txt is a file: expected a folder of a model "
            "(config.json, *.safetensors, tokenizer) (looked at {}/text.txt)",
        ),
        (
            {"language": language(location="bare")},
            "language.sources.own.location: bare has no tokenizer files, as tokenizer.json: save "
            "it there too",
        ),
        (
            {"language": language(text="images")},
            "language.sources.own.text: images is a folder: expected a file of text, or a name in "
            "resources/sources.csv (looked at {}/images)",
        ),
        (
            {"language": {"prompts": "images"}},
            "language.prompts: images is a folder: expected a file of prompts "
            "(looked at {}/images)",
        ),
        (
            {"image": images(sources={"own": {"kind": "folder", "size": 8, "location": "empty"}})},
            "image.sources.own.location: empty has no class folders: expected one for each class, "
            "with images",
        ),
        (
            {"image": images(sources={"own": {"kind": "folder", "size": 8, "location": "one"}})},
            "image.sources.own.location: one has one class, cats: expected two or more",
        ),
        (
            {
                "image": images(
                    sources={"own": {"kind": "folder", "size": 8, "location": "text.txt"}}
                )
            },
            "image.sources.own.location: text.txt is a file: expected a folder, an archive or a "
            "CSV of images (looked at {}/text.txt)",
        ),
    ],
    ids=[
        "no lines",
        "lines",
        "weights",
        "suffix",
        "model",
        "tokenizer",
        "text",
        "prompts",
        "no classes",
        "one class",
        "no images",
    ],
)
def test_what_is_there_but_of_another_kind_is_called_what_it_is(found, tmp_path, changes, message):
    model(tmp_path / "bare")
    assert found(**changes) == f"config: {message.format(tmp_path)}"


def test_an_absolute_path_is_not_shown_twice(found, tmp_path):
    file = tmp_path / "none.pth"
    said = found(image=images(weights=str(file)))
    assert said.endswith(f"{file} does not exist: expected a file of weights; or imagenet, or self")


def test_archives_and_lists_of_images_are_left_to_the_job(found, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("cats/a.png", b"")
    with tarfile.open(tmp_path / "b.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "text.txt")
    with tarfile.open(tmp_path / "c.tar", "w") as tar:
        tar.add(tmp_path / "text.txt")
    (tmp_path / "d.csv").write_text("file,label\n")
    for name in ("a.zip", "b.tar.gz", "c.tar", "d.csv"):
        source = {"kind": "folder", "size": 8, "location": name}
        assert found(image=images(sources={"own": source})) == ""


def test_config_check_looks_at_it_too(found, tmp_path, capfd):
    mine = tmp_path / "mine.yaml"
    mine.write_text(yaml.safe_dump({"image": images(weights="none.pth")}))
    assert cli.run(["config", "check", str(mine)]) == 1
    assert "config: image.weights: none.pth does not exist" in capfd.readouterr().err
    mine.write_text(yaml.safe_dump({"image": images()}))
    assert cli.run(["config", "check", str(mine)]) == 0


def test_config_check_says_of_its_files_what_they_are(found, tmp_path, capfd):
    expected = f"expected a YAML file (looked at {tmp_path}/{{}})\n"
    for name, said in (
        ("nothere.yaml", "does not exist: " + expected.format("nothere.yaml")),
        ("images", "is a folder: " + expected.format("images")),
    ):
        assert cli.run(["config", "check", name]) == 1
        assert capfd.readouterr().err == f"equitune: error: {name} {said}"


def test_snakemake_restarts_no_job_that_was_given_something_wrong(root, tmp_path, monkeypatch):
    """Snakemake has no option for it: a rule file asks the log (workflow/rules/retries.smk)."""
    monkeypatch.setattr(Job, "restart_times", Job.restart_times)  # put back at the end
    exec((root / "workflow/rules/retries.smk").read_text(), {"Path": Path})
    log = tmp_path / "job.log"
    job = SimpleNamespace(log=[str(log)], rule=SimpleNamespace(restart_times=2))
    restarts = Job.restart_times.fget
    assert restarts(job) == 2  # killed before it wrote anything
    log.write_text(failures.last_lines("full", failures.AGAIN))
    assert restarts(job) == 2
    log.write_text(failures.last_lines("full", failures.WRONG))
    assert restarts(job) == 0
