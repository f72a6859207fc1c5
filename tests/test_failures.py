"""What commands say when they are used wrongly, and which failures are worth another try."""

import errno
import os

import pytest
import torch
import typer

from equitune import __version__, cli, failures
from equitune.io.downloads import PassingError, WrongFileError


def commands(command, path=()):
    """The commands that do something, as the words that choose them."""
    inner = getattr(command, "commands", None)
    if not inner:
        return [(path, command)]
    return [one for name, each in inner.items() for one in commands(each, (*path, name))]


ALL = commands(typer.main.get_command(cli.app))
NAMES = [" ".join(path) for path, _ in ALL]


def required(command):
    """The arguments that a command cannot do without, as words: {name: words}."""
    return {
        one.opts[-1] if one.param_type_name == "option" else one.name.upper(): (
            [one.opts[-1], "1"] if one.param_type_name == "option" else ["1"]
        )
        for one in command.params
        if one.required
    }


def refused(capfd, *words):
    """What a command says that is used wrongly: how it is used, and what was wrong."""
    assert cli.run(list(words)) == 1
    usage, error = capfd.readouterr().err.splitlines()
    assert usage.startswith("usage: equitune ")
    assert error.startswith("equitune: error: ")
    return usage, error.removeprefix("equitune: error: ")


def test_there_are_commands_of_every_kind():
    assert {"retrieve", "scan dataset", "language lexicon check", "results figures"} <= {*NAMES}


@pytest.mark.parametrize(("path", "command"), ALL, ids=NAMES)
def test_a_command_with_nothing_names_all_that_is_missing(path, command, capfd):
    needed = required(command)
    if not needed:
        assert path[0] in ("config", "results")  # they print something
        return
    usage, error = refused(capfd, *path)
    assert usage.startswith(f"usage: equitune {' '.join(path)} ")
    assert error.startswith("missing ")
    for name in needed:
        assert f" {name}" in usage
        assert f" {name}" in error


@pytest.mark.parametrize(("path", "command"), ALL, ids=NAMES)
def test_a_command_with_one_thing_left_out_names_it_alone(path, command, capfd):
    needed = required(command)
    arguments = [name for name in needed if not name.startswith("--")]
    for name in needed.keys() - {*arguments[:-1]}:  # the last argument is the one that is missed
        words = [word for other in needed if other != name for word in needed[other]]
        _, error = refused(capfd, *path, *words)
        assert error.startswith(f"missing {name}")
        for other in needed:
            assert f" {other} (" not in error or other == name


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["scan", "spli"], "no such command 'spli'"),
        (["scan"], "missing command"),
        (["--nonsense"], "no such option: --nonsense"),
        (["config", "schema", "more"], "got unexpected extra argument"),
    ],
    ids=["command", "none", "option", "argument"],
)
def test_other_wrong_uses_are_named_too(words, message, capfd):
    assert message in refused(capfd, *words)[1]


def test_the_version_is_told(capfd):
    assert cli.run(["--version"]) == 0
    assert capfd.readouterr().out == f"equitune {__version__}\n"


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(ValueError("steps is -1"), 1, id="value"),
        pytest.param(FileNotFoundError(errno.ENOENT, "none"), 1, id="no file"),
        pytest.param(PermissionError(errno.EACCES, "no"), 1, id="no permission"),
        pytest.param(WrongFileError("sha256"), 1, id="wrong file"),
        pytest.param(KeyError("x"), 1, id="bug"),
        pytest.param(MemoryError("small"), 75, id="memory"),
        pytest.param(torch.OutOfMemoryError("CUDA"), 75, id="memory of a GPU"),
        pytest.param(OSError(errno.ENOSPC, "full"), 75, id="disk"),
        pytest.param(caused(OSError("x"), OSError(errno.EIO, "y")), 75, id="cause"),
        pytest.param(RuntimeError("I/O error: No space left on device"), 75, id="disk in words"),
        pytest.param(PassingError("503"), 75, id="server"),
        pytest.param(ConnectionResetError("by peer"), 75, id="network"),
    ],
)
def test_only_what_may_pass_is_worth_another_try(error, code):
    assert failures.code_of(error) == code


def test_the_log_says_why_and_whether_a_repetition_would_fail_too(tmp_path, capsys):
    log = tmp_path / "job.log"
    wrong = ["scan", "split", "add_jmp", "--train", "a", "--test", "b"]
    assert cli.run(["--log", str(log), *wrong]) == 1
    assert failures.was_wrong(log, since=0)
    assert not failures.was_wrong(log, since=os.stat(log).st_mtime + 1)  # of an earlier run
    said = capsys.readouterr().err.removeprefix("equitune: error: ").rstrip()
    assert failures.causes([log], since=0) == [f"{log}: {said}"]
    log.write_text(f"Traceback\n{failures.last_lines('the disk is full', 75)}")
    assert not failures.was_wrong(log, since=0)
    assert failures.causes([log, tmp_path / "none.log"], since=0) == [f"{log}: the disk is full"]
    assert failures.causes([log], since=os.stat(log).st_mtime + 1) == []
    log.write_text("step 3")  # killed
    assert not failures.was_wrong(log, since=0)
    assert failures.causes([log], since=0) == []
    assert not failures.was_wrong(tmp_path / "none.log", since=0)
