"""The command line under watch: each run in an empty folder, its words and files looked at."""

import contextlib
import io
import signal
import tempfile

import pytest
import yaml
from fuzz import given as valid

from equitune import cli
from equitune.language.samples import Sample, write_samples
from equitune.language.tokenizer import build_tokenizer

SECONDS = 120  # for a command that takes a fraction of one, on a machine that is busy


class Hang(BaseException):
    """A command that does not end; nothing catches it on its way."""


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """A folder with valid files of every kind."""
    folder = tmp_path_factory.mktemp("valid")
    build_tokenizer(valid.SENTENCES).save_pretrained(folder / "tokens")
    contents = {"config.yaml": valid.CONFIG.encode(), "scan": valid.SCAN, "regard": valid.REGARD}
    contents |= {"dataset": valid.dataset(), "archive": valid.archive()}
    for name, tree in (("lexicon.yaml", valid.LEXICON), ("prompts.yaml", valid.PROMPTS)):
        contents[name] = yaml.safe_dump(tree).encode()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    write_samples(folder / "samples.jsonl", [Sample(**row) for row in valid.SAMPLES])
    train = f"scan pretrain --dataset {folder}/dataset --architecture RNN --seed 0"
    train += f" --output {folder}/pretrained/model.safetensors"
    steps, widths = (yaml.safe_dump(tree) for tree in (valid.TRAINING, valid.WIDTHS))
    assert cli.run([*train.split(), "--training", steps, "--model", widths]) == 0
    return folder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder of all commands, which is that of their temporary files too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def meets(folder):
    """A function that runs a command and returns its message, "" for success, if all is well.

    It ends in success, or with exit code 1 or 75, one line of `equitune: error:` that names no
    kind of exception, and not a file more than before.
    """

    def stop(*_):
        raise Hang

    def run(*arguments):
        before = held(folder)
        out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace")
        signal.signal(signal.SIGALRM, stop)
        signal.alarm(SECONDS)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = cli.run([str(argument) for argument in arguments])
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
        err.flush()
        said = err.buffer.getvalue().decode()
        assert code in (0, 1, 75), said
        assert "Traceback" not in said
        errors = [line for line in said.split("\n") if line.startswith("equitune: error: ")]
        assert len(errors) == bool(code), said
        if code:
            (line,) = errors
            assert said.endswith(f"{line}\n"), said
            assert len(line) < 2000, f"{len(line)} letters"
            assert not internal(line.removeprefix("equitune: error: ")), line
            assert held(folder) == before
        assert not (folder / "owned").exists()
        return "".join(errors)

    return run


def held(folder):
    """The files and folders below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def internal(message):
    """Whether a message was made for programmers: it opens with an exception's name, or …"""
    first = message.partition(":")[0]
    named = first.isidentifier() and first.endswith(("Error", "Exception", "Warning", "Interrupt"))
    signs = ("object has no attribute", "object is not", "not subscriptable", "NoneType", "__")
    signs += ("positional argument", "unhashable", "embedded null", "codec can't", "not supported")
    return named or any(sign in message for sign in signs)
