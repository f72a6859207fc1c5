"""The command line as a person meets it: one line for a mistake, nothing half-written."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from equitune import cli
from equitune.io import files
from equitune.scan import cli as scan_cli
from equitune.scan import data

MODEL = "{embedding: 8, hidden: 8, dropout: 0.1}"
TRAINING = "{steps: 3, batch_size: 4, learning_rate: 0.01}"
GROUP = "{commands: [[jump, run]], actions: [[I_JUMP, I_RUN]]}"
PAIRS = [
    ("walk", "I_WALK"),
    ("run", "I_RUN"),
    ("jump", "I_JUMP"),
    ("look", "I_LOOK"),
    ("run left", "I_TURN_LEFT I_RUN"),
    ("walk right", "I_TURN_RIGHT I_WALK"),
    ("look twice", "I_LOOK I_LOOK"),
    ("run thrice", "I_RUN I_RUN I_RUN"),
]


def run(*arguments):
    return cli.run([str(argument) for argument in arguments])


@pytest.fixture
def dataset(tmp_path):
    path = tmp_path / "dataset.safetensors"
    parts = data.build_dataset(PAIRS, [("jump twice", "I_JUMP I_JUMP")], 0, 0.25)
    data.save_dataset(path, parts, task="add_jump", seed=0, validation_fraction=0.25)
    return path


@pytest.fixture
def pretrained(tmp_path, dataset):
    output = tmp_path / "pretrained" / "model.safetensors"
    assert pretrain(dataset, output) == 0
    return output


def pretrain(dataset, output, *more, architecture="RNN", model=MODEL, training=TRAINING):
    arguments = ["scan", "pretrain", "--dataset", dataset, "--architecture", architecture]
    arguments += ["--seed", 0, "--model", model, "--training", training, "--output", output]
    return run(*arguments, *more)


def tune(dataset, pretrained, output, *more, method="equitune", permutation=GROUP):
    arguments = ["scan", "tune", "--dataset", dataset, "--pretrained", pretrained]
    arguments += ["--method", method, "--group", "jump_run", "--permutation", permutation]
    arguments += ["--seed", 0, "--training", TRAINING, "--output", output]
    return run(*arguments, *more)


def error_line(capfd):
    """What stands on the terminal must be one line."""
    lines = [line for line in capfd.readouterr().err.splitlines() if "error" in line]
    assert len(lines) == 1
    assert lines[0].startswith("equitune: error: ")
    return lines[0]


def test_a_split_comes_from_the_grammar(tmp_path):
    train, test = tmp_path / "train.txt", tmp_path / "test.txt"
    assert run("scan", "split", "add_jump", "--train", train, "--test", test) == 0
    assert len(train.read_text().splitlines()) == 14_670
    assert len(test.read_text().splitlines()) == 7_706


def test_a_published_split_comes_from_a_mirror_and_is_checked(tmp_path, shared, capfd):
    train, test = tmp_path / "train.txt", tmp_path / "test.txt"
    arguments = ["scan", "split", "simple", "--source", "published", "--train", train]
    assert run(*arguments, "--test", test, "--mirror", shared / "mirror") == 0
    assert len(test.read_text().splitlines()) == 4_182


@pytest.mark.parametrize("method", ["finetune", "equitune", "lambda_equitune", "equizero"])
def test_every_method_trains_and_is_evaluated(tmp_path, dataset, pretrained, method):
    output, table = tmp_path / method / "model.safetensors", tmp_path / "evaluation.csv"
    assert tune(dataset, pretrained, output, method=method) == 0
    manifest = json.loads(output.with_name("manifest.json").read_text())
    assert manifest["configuration"]["method"] == method
    assert manifest["inputs"]["model.safetensors"] == files.sha256(pretrained)
    arguments = ["scan", "evaluate", pretrained, output, "--dataset", dataset]
    assert run(*arguments, "--permutation", GROUP, "--output", table) == 0
    rows = table.read_text().splitlines()
    assert [row.split(",")[2] for row in rows[1:]] == ["pretrained", method]


def test_settings_are_taken_as_words(tmp_path, dataset, pretrained):
    words = {"model": "embedding=8,hidden=8,dropout=0.1"}
    words["training"] = "steps=3,batch_size=4,learning_rate=0.01"
    again = tmp_path / "again" / "model.safetensors"
    assert pretrain(dataset, again, **words) == 0
    assert again.read_bytes() == pretrained.read_bytes()


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("commands=jump+run,actions=I_JUMP+I_RUN", ""),
        ("mine=commands=jump+run,actions=I_JUMP+I_RUN", "mine"),
        ("commands=jump+run", ""),
        ("commands=commands=jump+run", "commands"),
        ('actions={"commands":[["jump","run"]]}', "actions"),
        ("jump_run", ""),
        ("mine=jump_run", "mine"),
    ],
)
def test_a_permutation_has_a_name_or_none(text, key):
    named, cycles = scan_cli._named(text)
    assert named == (f"scan.permutations.{key}" if key else "--permutation")
    assert cycles["commands"][0] == ["jump", "run"]


def test_training_again_gives_the_same_bytes(tmp_path, dataset, pretrained):
    again = tmp_path / "again" / "model.safetensors"
    assert pretrain(dataset, again, "--state-folder", tmp_path / "states") == 0
    assert again.read_bytes() == pretrained.read_bytes()
    assert list((tmp_path / "states").glob("*")) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "LTSM"}, "--architecture: unknown value 'LTSM'; did you mean 'LSTM'"),
        ({"model": "{hiden: 3}"}, "--model: unknown key 'hiden'"),
        ({"model": "{hidden: ["}, "--model is not YAML"),
        ({"training": "{steps: 3, batch_size: 4, learning_rate: no}"}, "learning_rate"),
        ({"training": "7"}, "--training"),
    ],
)
def test_bad_settings_are_one_line_and_leave_nothing(tmp_path, capfd, dataset, changes, message):
    output = tmp_path / "out" / "model.safetensors"
    assert pretrain(dataset, output, **changes) == 1
    assert message in error_line(capfd)
    assert not output.parent.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "equitoon"}, "--method: unknown value 'equitoon'; did you mean 'equitune'"),
        ({"permutation": "{commands: [[jump, rum]]}"}, "unknown word 'rum'; did you mean 'run'"),
        ({"permutation": "{commands: [[jump, run, jump]]}"}, "'jump' stands twice"),
        ({"permutation": "{comands: []}"}, "unknown key 'comands'"),
    ],
)
def test_bad_groups_are_one_line_and_leave_nothing(
    tmp_path, capfd, dataset, pretrained, changes, message
):
    output = tmp_path / "out" / "model.safetensors"
    assert tune(dataset, pretrained, output, **changes) == 1
    assert message in error_line(capfd)
    assert not output.parent.exists()


@pytest.mark.parametrize("damage", ["truncated", "foreign", "missing", "no settings"])
def test_a_damaged_checkpoint_is_named(tmp_path, capfd, dataset, pretrained, damage):
    if damage == "truncated":
        pretrained.write_bytes(pretrained.read_bytes()[:500])
    elif damage == "foreign":
        pretrained.write_text("no weights")
    elif damage == "missing":
        pretrained.unlink()
    else:
        pretrained.with_name("config.json").unlink()
    output = tmp_path / "out" / "model.safetensors"
    assert tune(dataset, pretrained, output) == 1
    line = error_line(capfd)
    assert str(pretrained) in line
    assert "remove its folder and run again" in line
    assert not output.parent.exists()


def test_a_damaged_dataset_is_named(tmp_path, capfd, dataset):
    dataset.write_bytes(dataset.read_bytes()[:100])
    assert pretrain(dataset, tmp_path / "out" / "model.safetensors") == 1
    assert str(dataset) in error_line(capfd)


def test_the_log_holds_the_traceback_and_the_terminal_does_not(tmp_path, capfd):
    log = tmp_path / "logs" / "job.log"
    arguments = ["--log", log, "scan", "split", "add_jmp", "--train", "a", "--test", "b"]
    assert run(*arguments) == 1
    assert "did you mean 'add_jump'?" in error_line(capfd)
    assert "Traceback" in log.read_text()
    assert "grammar.py" in log.read_text()


def test_the_log_holds_plain_lines_of_progress(tmp_path, dataset):
    log, output = tmp_path / "job.log", tmp_path / "out" / "model.safetensors"
    arguments = ["--log", log, "scan", "pretrain", "--dataset", dataset, "--architecture", "GRU"]
    arguments += ["--seed", 0, "--model", MODEL, "--training", TRAINING, "--output", output]
    assert run(*arguments) == 0
    text = log.read_text()
    assert "add_jump GRU pretrained" in text
    assert "step 3/3" in text
    assert "validation" in text
    assert "\r" not in text


@pytest.mark.parametrize("job", [True, False], ids=["job", "hand"])
def test_a_job_has_a_log_in_the_place_of_its_output(tmp_path, monkeypatch, capfd, job):
    monkeypatch.chdir(tmp_path)
    if job:
        monkeypatch.setenv("EQUITUNE_LOGS", "yes")
    tune = ["scan", "tune", "--pretrained", "none", "--permutation", "jump_run"]
    tune += ["--training", TRAINING, "--output"]
    output = "results/scan/add_jump/GRU/seed0/equitune/jump_run/model.safetensors"
    assert run(*tune, output) == 1
    assert "none" in error_line(capfd)
    logs = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert logs == ([tmp_path / f"{output.replace('results', 'results/logs')}.log"] if job else [])
    named = tmp_path / "named.log"
    assert run("--log", named, *tune, output) == 1
    assert "Traceback" in named.read_text()


def test_what_the_folders_of_an_output_say_need_not_be_said(tmp_path, dataset, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = Path("runs/add_jump/GRU/seed0")
    known = Path("runs/add_jump/seed0/dataset.safetensors")
    known.parent.mkdir(parents=True)
    dataset.rename(known)
    short = ["scan", "pretrain", "--model", MODEL, "--training", TRAINING, "--output"]
    model = place / "pretrained/identity/model.safetensors"
    assert run(*short, model) == 0
    assert pretrain(known, "whole/model.safetensors", architecture="GRU") == 0
    tuned = place / "equitune/jump_run/model.safetensors"
    short = ["scan", "tune", "--permutation", GROUP, "--training", TRAINING, "--pretrained"]
    assert run(*short, model, "--output", tuned) == 0
    assert tune(known, model, "whole/tuned/model.safetensors") == 0
    for one, other in ((model, "whole"), (tuned, "whole/tuned")):
        for name in ("model.safetensors", "config.json"):
            assert one.with_name(name).read_bytes() == Path(other, name).read_bytes()
    assert run("scan", "evaluate", tuned, "--permutation", GROUP, "--output", place / "a.csv") == 0
    assert (place / "a.csv").read_text().count("equitune,jump_run,0") == 1


def test_an_output_elsewhere_needs_all_options(tmp_path, capfd):
    output = tmp_path / "model.safetensors"
    assert run("scan", "pretrain", "--training", TRAINING, "--output", output) == 1
    assert "missing --dataset, --architecture, --seed: name them" in error_line(capfd)


def test_unknown_file_to_retrieve_names_the_nearest(tmp_path, capfd):
    assert run("retrieve", "scan_task", "--output", tmp_path) == 1
    assert "did you mean 'scan_tasks'" in error_line(capfd)


def test_config_check_is_silent_when_all_is_well(root, tmp_path, capfd):
    assert run("config", "check", root / "config/config.yaml", root / "config/paper.yaml") == 0
    mine = tmp_path / "mine.yaml"
    mine.write_text("scan: {seedz: [1]}")
    assert run("config", "check", root / "config/config.yaml", mine) == 1
    assert "unknown key 'seedz' in scan; did you mean 'seeds'?" in error_line(capfd)
    mine.write_text("scan: {seeds: [1]}")
    assert run("config", "check", mine) == 0  # over the default run's
    mine.write_text("scan: [")
    assert run("config", "check", mine) == 1
    assert "is not YAML" in error_line(capfd)


def test_the_command_starts_without_torch():
    code = "import sys, equitune.cli; sys.exit('torch' in sys.modules or 'pandas' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "equitune", "scan", "split", "x", "--train", "a", "--test", "b"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("equitune: error: unknown task 'x'")


@pytest.mark.parametrize(
    ("words", "set_to", "offline"),
    [
        ("language generate --log fetch", None, "1"),
        ("language generate", "0", "0"),
        ("--log x language fetch", None, None),
    ],
)
def test_the_command_that_fetches_models_alone_asks_the_hub(monkeypatch, words, set_to, offline):
    monkeypatch.setattr(sys, "argv", ["equitune", *words.split()])
    monkeypatch.setenv("HF_HUB_OFFLINE", set_to or "")
    if set_to is None:
        monkeypatch.delenv("HF_HUB_OFFLINE")
    found = []
    monkeypatch.setattr(cli, "run", lambda _: found.append(os.getenv("HF_HUB_OFFLINE")) or 0)
    monkeypatch.setattr(cli.interruption, "listen", lambda: None)
    monkeypatch.setattr(cli.gc, "freeze", lambda: None)
    with pytest.raises(SystemExit):
        cli.main()
    assert found == [offline]
