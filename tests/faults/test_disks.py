"""A full disk, a folder that turns read-only, a closed pipe: one line, and work goes on later.

The disk is a small one in memory, mounted where only the test's own processes see it.
"""

import os
import shutil
import subprocess
import sys

import pytest
from tiny_gguf import write_gguf

TRAIN = '"$0" -m equitune "$@"'
FEW = {"steps": 30, "save_seconds": 0}  # a state after every step
MOUNTS = {
    "root": ["unshare", "--mount"],
    "user": ["unshare", "--mount", "--map-root-user"],
}


@pytest.fixture(scope="session")
def unshare():
    """The command that gives a process mounts of its own."""
    for command in MOUNTS.values():
        if shutil.which("unshare"):
            probe = [*command, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
            if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
                return command
    pytest.skip("no mounts of one's own here: unshare --mount is not allowed")


@pytest.fixture
def shell(root, unshare):
    """Run lines of a shell in which `disk SIZE` mounts and resizes a disk at $DISK."""

    def run(folder, script, arguments):
        disk = folder / "disk"
        disk.mkdir()
        again = "mount -o remount,rw,size=$1 tmpfs $DISK"
        script = f"set -u; disk() {{ {again}; }}; mount -t tmpfs tmpfs $DISK; {script}"
        return subprocess.run(
            [*unshare, "bash", "-c", script, sys.executable, *map(str, arguments)],
            cwd=root,
            env=os.environ | {"DISK": str(disk)},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run


def errors(done):
    """The lines of errors, and none of a traceback."""
    assert "Traceback" not in done.stderr
    assert "Logging error" not in done.stderr
    return [line for line in done.stderr.splitlines() if line.startswith("equitune: error: ")]


@pytest.mark.parametrize("name", ["scan", pytest.param("language", marks=pytest.mark.slow)])
def test_a_full_disk_is_one_line_and_training_goes_on_once_there_is_room(
    cases, server, shell, tmp_path, name
):
    case = cases(name)
    assert server(case.train(tmp_path, **FEW)).wait() == 0
    # room for one state, not for a second beside it
    room = {"scan": "3m", "language": "100k"}[name]
    done = shell(
        tmp_path,
        f"""
        disk {room}; {TRAIN}; echo "code $?"; ls -A $DISK/states $DISK
        disk 50m; {TRAIN}; echo "code $?"; cp -r $DISK/. $DISK/../saved
        """,
        case.train(tmp_path / "disk", **FEW),
    )
    (error,) = errors(done)
    assert "cannot be written and is left as it was, as no space is left on its disk" in error
    assert "make room, then run the same command again" in error
    first, _, second = done.stdout.partition("code 75\n")
    assert (first, second.splitlines()[-1]) == ("", "code 0")
    left = second.splitlines()[:-1]
    assert not [line for line in left if line.startswith(".")]  # nothing half-written
    assert sum(line.endswith(".pt") for line in left) == 1
    assert case.manifest(tmp_path / "saved")["resumed_at"] > 0
    assert case.weights(tmp_path / "saved") == case.weights(tmp_path)


@pytest.mark.slow
def test_a_disk_that_fills_while_a_gguf_is_converted_is_one_line(shell, tmp_path):
    pytest.importorskip("gguf")
    file = tmp_path / "tiny.gguf"
    write_gguf(file)
    done = shell(
        tmp_path,
        f"""
        disk 100k; {TRAIN}; echo "code $?"; ls -A $DISK/models
        disk 50m; {TRAIN}; echo "code $?"; ls -A $DISK/models $DISK/models/tiny
        """,
        ["language", "convert", file, "--output", tmp_path / "disk/models/tiny/manifest.json"],
    )
    (error,) = errors(done)
    assert "models/tiny cannot be written and is left as it was, as no space is left on" in error
    first, second = done.stdout.split("code ")[1:]
    assert first.splitlines() == ["75"]  # nothing is left of it
    assert {"tiny", "model.safetensors", "manifest.json"} <= set(second.split())
    assert not [name for name in second.split() if name.startswith(".")]


def test_a_disk_that_turns_read_only_is_one_line(cases, shell, tmp_path):
    done = shell(
        tmp_path,
        f"""
        mount -o remount,ro tmpfs $DISK; {TRAIN}; echo "code $?"
        disk 50m; {TRAIN}; echo "code $?"
        """,
        cases("scan").train(tmp_path / "disk", **FEW),
    )
    (error,) = errors(done)
    assert "read-only file system: allow writing to" in error
    assert done.stdout.split("code ")[1:] == ["1\n", "0\n"]


def test_a_log_on_a_full_disk_costs_lines_and_not_the_run(cases, shell, tmp_path):
    train = cases("scan").train(tmp_path, **FEW)
    script = f'disk 4k; {TRAIN}; echo "code $?"'
    done = shell(tmp_path, script, ["--log", tmp_path / "disk/log", *train])
    assert errors(done) == []
    assert done.stdout == "code 0\n"


def closed_pipe():
    """The writing end of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def test_output_that_nobody_reads_is_one_line(root):
    writing = closed_pipe()
    done = subprocess.run(
        [sys.executable, "-m", "equitune", "config", "docs"],
        cwd=root,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert done.returncode == 1
    assert done.stderr == ("equitune: error: the output was closed by the program that read it\n")


def test_training_goes_on_when_nobody_reads_what_it_says(cases, root, tmp_path):
    writing, case = closed_pipe(), cases("scan")
    done = subprocess.run(
        [sys.executable, "-m", "equitune", *case.train(tmp_path)],
        cwd=root,
        stdout=writing,
        stderr=writing,
        check=False,
    )
    os.close(writing)
    assert done.returncode == 0
    assert case.manifest(tmp_path)["kept"] > 0  # written last, after all steps
