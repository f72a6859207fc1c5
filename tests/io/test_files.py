"""Files appear whole or not at all, come back as they were, and bad ones are named."""

import errno
import hashlib
import os
import re
import subprocess
import sys

import pytest
import torch
from torch import nn

from equitune.io import files


def test_atomic_write_replaces_the_file_when_the_block_ends(tmp_path):
    path = tmp_path / "new" / "table.csv"
    path.parent.mkdir()
    path.write_text("old")
    with files.atomic_write(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent
        assert temporary.suffix == ".csv"
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_in_the_place_of_a_file_is_one_line(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    with (
        pytest.raises(
            files.WriteError, match=r"out is a folder: expected a file to write, such as"
        ),
        files.atomic_write(f"{folder}/"),
    ):
        pass
    assert [*tmp_path.rglob("*")] == [folder]


def test_atomic_write_leaves_nothing_when_the_block_fails(tmp_path):
    def fail():
        with files.atomic_write(tmp_path / "deep" / "table.csv") as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list((tmp_path / "deep").iterdir()) == []


def test_atomic_write_gives_the_usual_permissions(tmp_path):
    (tmp_path / "plain").write_text("")
    with files.atomic_write(tmp_path / "atomic") as temporary:
        temporary.write_text("")
    files.save_tensors(tmp_path / "tensors", {"x": torch.zeros(1)})
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_atomic_write_removes_what_a_killed_writer_had_begun(tmp_path):
    path = tmp_path / "table.csv"
    with files.atomic_write(path) as temporary:
        temporary.write_text("")
        names = [temporary.name.replace(f"-{os.getpid()}-", f"-{pid}-") for pid in (2**22 + 1, 1)]
        other = temporary.name.replace("table.csv", "other.csv")
    for name in (*names, other):
        (tmp_path / name).write_text("half")
    with files.atomic_write(path) as temporary:
        temporary.write_text("whole")
    # process 1 is alive and may still write; nobody has a number above 2**22
    assert sorted(x.name for x in tmp_path.iterdir()) == sorted([names[1], other, "table.csv"])


def test_atomic_files_appear_together_when_the_block_ends(tmp_path):
    folder = tmp_path / "model"
    with files.atomic_files(folder) as temporary:
        (temporary / "a.json").write_text("a")
        (temporary / "b.json").write_text("b")
        (temporary / "b.json").chmod(0o600)
        assert [x.name for x in folder.iterdir()] == [temporary.name]
    assert sorted(x.name for x in folder.iterdir()) == ["a.json", "b.json"]
    assert len({x.stat().st_mode for x in folder.iterdir()}) == 1


def test_atomic_files_leave_nothing_when_the_block_fails(tmp_path):
    def fail():
        with files.atomic_files(tmp_path / "model") as temporary:
            (temporary / "a.json").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list((tmp_path / "model").iterdir()) == []


def test_an_atomic_folder_is_replaced_whole_when_the_block_ends(tmp_path):
    folder = tmp_path / "models" / "tiny"
    for name in ("a.json", "b.json"):
        with files.atomic_folder(folder) as temporary:
            (temporary / name).write_text(name)
            (temporary / name).chmod(0o600)
            held = {path.name for path in folder.parent.iterdir()}
            assert held == {temporary.name} | ({"tiny"} if name == "b.json" else set())
        assert [path.name for path in folder.iterdir()] == [name]
        assert (folder / name).stat().st_mode & 0o777 == folder.stat().st_mode & 0o666
        assert list(folder.parent.iterdir()) == [folder]


def test_an_atomic_folder_stays_as_it_was_when_the_block_fails(tmp_path):
    folder = tmp_path / "tiny"

    def fail():
        with files.atomic_folder(folder) as temporary:
            (temporary / "a.json").write_text("half")
            raise KeyboardInterrupt

    for held in ([], ["old.json"]):
        for name in held:
            folder.mkdir()
            (folder / name).write_text("old")
        with pytest.raises(KeyboardInterrupt):
            fail()
        assert [path.name for path in tmp_path.rglob("*.json")] == held
        assert folder.exists() == bool(held)
        assert not [path for path in tmp_path.iterdir() if path != folder]


@pytest.mark.parametrize("writer", [files.atomic_files, files.atomic_folder])
def test_folders_of_killed_writers_are_removed(tmp_path, writer):
    folder = tmp_path / "tiny"
    with writer(folder) as temporary:
        (temporary / "a.json").write_text("")
    name = temporary.name.replace(f"-{os.getpid()}-", f"-{2**22 + 1}-")
    left = temporary.with_name(name)
    left.mkdir()
    (left / "half.json").write_text("half")
    with writer(folder) as temporary:
        assert not left.exists()
    assert not [path for path in tmp_path.rglob(".*")]


def made_from(error):
    """What torch makes of an error of the disk: its own, with the first one behind it."""
    own = RuntimeError("unexpected pos 861120 vs 861012")
    own.__context__ = error
    return own


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "no space is left on its disk: make"),
        (RuntimeError("I/O error: No space left on device"), "no space is left on its disk: make"),
        (made_from(OSError(errno.ENOSPC, "")), "no space is left on its disk: make"),
        (OSError(errno.EROFS, "Read-only"), "read-only file system: allow writing to"),
        (OSError(errno.EACCES, "Permission denied"), "permission denied: allow writing to"),
    ],
    ids=["full", "full, of a writer in C++", "full, as a cause", "read-only", "forbidden"],
)
def test_a_disk_that_refuses_is_one_line_and_the_old_file_stays(tmp_path, error, words):
    path = tmp_path / "table.csv"
    path.write_text("old")

    def write():
        with files.atomic_write(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(files.WriteError, match=words) as told:
        write()
    assert str(told.value).startswith(f"{path} cannot be written and is left as it was, as ")
    assert "\n" not in str(told.value)
    assert [x.read_text() for x in tmp_path.iterdir()] == ["old"]


def test_other_errors_pass_as_they_are(tmp_path):
    with pytest.raises(ValueError, match="no number"), files.atomic_write(tmp_path / "table.csv"):
        raise ValueError("no number")


def test_sha256_is_that_of_the_bytes(tmp_path):
    data = bytes(range(256)) * 5000
    (tmp_path / "data").write_bytes(data)
    assert files.sha256(tmp_path / "data") == hashlib.sha256(data).hexdigest()


def test_sha256_of_lines_ignores_their_order_and_counts_repeats():
    expected = hashlib.sha256(b"a\nb\nb\n").hexdigest()
    assert files.sha256_of_lines(["b", "a", "b"]) == expected
    assert files.sha256_of_lines(["b", "a"]) != expected


def test_configuration_hash_is_stable():
    first = files.configuration_hash({"betas": (0.9, 0.98), "model": {"a": 1, "b": 2}})
    again = files.configuration_hash({"model": {"b": 2, "a": 1}, "betas": [0.9, 0.98]})
    assert first == again
    assert re.fullmatch("[0-9a-f]{16}", first)
    assert files.configuration_hash({"steps": 11}) != files.configuration_hash({"steps": 10})
    # the number itself: a hash that changed from version to version would orphan every state
    assert files.configuration_hash({"steps": 10}) == "2c789a8611e9a36b"


def test_configuration_hash_refuses_what_json_cannot_say(tmp_path):
    with pytest.raises(TypeError):
        files.configuration_hash({"path": tmp_path})
    with pytest.raises(ValueError, match="JSON"):
        files.configuration_hash({"rate": float("nan")})


def test_tensors_and_metadata_come_back(tmp_path):
    path = tmp_path / "new" / "x.safetensors"
    whole = torch.arange(12.0).view(3, 4)
    tensors = {"whole": whole, "part": whole.t()[1:], "tied": whole, "ids": torch.tensor([3, 1])}
    metadata = {"seed": 3, "task": "add_jump", "counts": {"train": 5}, "word": "für"}
    files.save_tensors(path, tensors, metadata)
    loaded, facts = files.load_tensors(path)
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(loaded[name], tensor)
        assert loaded[name].dtype == tensor.dtype
    assert facts == metadata
    assert list(path.parent.iterdir()) == [path]


def test_tensor_files_are_the_same_bytes_each_time(tmp_path):
    metadata = {f"key{n}": n for n in range(20)}
    tensors = {f"tensor{n}": torch.full((n + 1,), float(n)) for n in range(20)}
    files.save_tensors(tmp_path / "0", tensors, metadata)
    for n in range(1, 5):
        backwards = dict(reversed(tensors.items())), dict(reversed(metadata.items()))
        files.save_tensors(tmp_path / str(n), *backwards)
        assert (tmp_path / str(n)).read_bytes() == (tmp_path / "0").read_bytes()


@pytest.mark.parametrize("keep", [0, 5, 60, -1])
def test_a_truncated_tensor_file_is_one_line(tmp_path, keep):
    path = tmp_path / "model.safetensors"
    files.save_tensors(path, {"x": torch.zeros(100)}, {"seed": 1})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(
        ValueError, match=r"model\.safetensors is truncated or no safetens"
    ) as error:
        files.load_tensors(path)
    assert "\n" not in str(error.value)


def test_a_foreign_or_missing_tensor_file_is_named(tmp_path):
    torch.save({"x": torch.zeros(3)}, tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"model\.pt is truncated or no safetensors file"):
        files.load_tensors(tmp_path / "model.pt")
    with pytest.raises(FileNotFoundError, match=r"absent does not exist: run the step"):
        files.load_tensors(tmp_path / "absent")


def test_load_into_loads():
    module, other = nn.Linear(2, 3), nn.Linear(2, 3)
    files.load_into(module, other.state_dict(), "model.safetensors")
    assert torch.equal(module.weight, other.weight)
    assert torch.equal(module.bias, other.bias)


def test_load_into_names_every_key_that_does_not_fit():
    module = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    before = [p.clone() for p in module.parameters()]
    tensors = {
        "0.weight": torch.zeros(3, 4),
        "0.bias": torch.zeros(3),
        "1.gain": torch.zeros(1),
        "2.bias": torch.zeros(1),
    }
    with pytest.raises(ValueError, match="pass the architecture") as error:
        files.load_into(module, tensors, "results/model.safetensors")
    message = str(error.value)
    assert message.startswith("results/model.safetensors does not fit Sequential: ")
    assert "missing 1.bias, 1.weight" in message
    assert "unexpected 1.gain, 2.bias" in message
    assert "0.weight is (3, 4), expected (3, 2)" in message
    assert "\n" not in message
    assert all(torch.equal(p, q) for p, q in zip(before, module.parameters(), strict=True))


def test_importing_the_module_does_not_import_torch():
    code = "import sys, equitune.io.files; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_views_are_saved_as_they_read(tmp_path):
    """Not as they stand in memory: conjugates, negatives, repeated and turned values."""
    values = torch.randn(3, 2, dtype=torch.complex64)
    tensors = {
        "conjugate": values.conj(),
        "negative": values.conj().imag,
        "repeated": torch.arange(3).expand(2, 3),
        "turned": values.real.T,
    }
    files.save_tensors(tmp_path / "tensors", tensors)
    loaded, _ = files.load_tensors(tmp_path / "tensors")
    assert loaded["conjugate"].tolist() == [[z.conjugate() for z in row] for row in values.tolist()]
    for name in ("negative", "repeated", "turned"):
        assert loaded[name].tolist() == tensors[name].tolist(), name


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"scale": 1}, "is dict, no tensor"),
        (torch.zeros(2, device="meta"), "is on the meta device"),
        (nn.UninitializedParameter(), "has no shape yet"),
        (torch.eye(2).to_sparse(), "is torch.sparse_coo"),
        (torch.zeros(2, dtype=torch.complex128), "is torch.complex128, for which safetensors"),
    ],
    ids=["no tensor", "meta", "lazy", "sparse", "dtype"],
)
def test_what_no_file_can_hold_is_named_before_it_is_written(tmp_path, value, words):
    tensors = {"good": torch.zeros(1), "bad": value, "worse": value}
    with pytest.raises(ValueError, match=re.escape(f"model is not written: bad {words}")) as error:
        files.save_tensors(tmp_path / "model", tensors)
    assert str(error.value).endswith(" (and 1 more)")
    assert list(tmp_path.iterdir()) == []


def test_load_into_does_not_make_other_numbers_of_weights():
    """Complex to real and fractions to integers lose values; other digits are the module's."""
    module = nn.Linear(2, 1, bias=False)
    with pytest.raises(ValueError, match=r"weight is torch\.complex64, expected torch\.float32"):
        files.load_into(module, {"weight": torch.ones(1, 2) + 1j}, "model")
    files.load_into(module, {"weight": torch.full((1, 2), 0.1, dtype=torch.float64)}, "model")
    assert module.weight.dtype == torch.float32


def test_of_many_keys_that_do_not_fit_the_first_are_named():
    here = {f"a{i}": torch.ones(1) for i in range(9)} | {f"c{i}": torch.ones(1) for i in range(5)}
    there = {f"b{i}": torch.ones(1) for i in range(2)} | {f"c{i}": torch.ones(2) for i in range(5)}
    assert files.misfits(here, there) == (
        "missing 9 keys (a0, a1, a2, …); unexpected b0, b1; c0 is (2,), expected (1,); "
        "c1 is (2,), expected (1,); c2 is (2,), expected (1,); 2 more of another shape or dtype"
    )
