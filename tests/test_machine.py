"""Nothing hangs on whose machine it is: its user's settings, its locale, its accounts."""

import ast
import os

import matplotlib
import pytest
from hypothesis import settings
from matplotlib.figure import Figure

from equitune.results import style
from equitune.run import devices

TEXTS = {"read_text", "write_text"}
PARTS = ("equitune", "benchmarks", "docs")


def texts_of_the_locale(code):
    """The lines on which a text is read or written in whatever encoding the machine has."""
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.Call):
            continue
        method = isinstance(node.func, ast.Attribute) and node.func.attr in TEXTS
        if method and ast.unparse(node.func.value) == "texts":  # the package's own, always UTF-8
            continue
        function = isinstance(node.func, ast.Name) and node.func.id == "open"
        if function:
            modes = [*node.args[1:2], *(k.value for k in node.keywords if k.arg == "mode")]
            function = not any("b" in ast.unparse(mode) for mode in modes)
        if (method or function) and not any(k.arg == "encoding" for k in node.keywords):
            yield node.lineno


def test_texts_are_utf_8_whatever_the_locale(root):
    files = [file for part in PARTS for file in (root / part).rglob("*.py")]
    found = {
        f"{file.relative_to(root)}:{line}"
        for file in files
        for line in texts_of_the_locale(file.read_text(encoding="utf-8"))
    }
    assert len(files) > 50
    assert found == set()


@pytest.mark.parametrize("code", ["open(x)", "open(x, 'w')", "x.read_text()", "x.write_text('')"])
def test_a_text_of_the_locale_is_found(code):
    assert list(texts_of_the_locale(code)) == [1]
    assert list(texts_of_the_locale(f"{code[:-1]}, encoding='utf-8')".replace("(,", "("))) == []
    assert list(texts_of_the_locale("open(x, 'rb')")) == []


def test_what_the_user_has_set_up_is_not_for_tests(any_machine):
    known = {"http_proxy": "http://there", "NO_PROXY": "*", "HF_TOKEN": "x", "GIT_DIR": "/y"}
    environment = known | {"PATH": "/bin", "HOME": "/home"}
    any_machine(environment)
    kept = {"PATH": "/bin", "HOME": "/home"}
    assert environment == kept | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    chosen = {"CUDA_VISIBLE_DEVICES": "1", "OMP_NUM_THREADS": "2"}
    any_machine(chosen)
    assert chosen == {"CUDA_VISIBLE_DEVICES": "1", "OMP_NUM_THREADS": "2"}
    assert not {name for name in os.environ if name.lower().endswith("_proxy")}


def test_a_figure_is_drawn_without_the_users_own_look(tmp_path):
    def drawn(name):
        with style.look():
            figure = Figure()
            figure.add_subplot().plot([1, 2])
            figure.savefig(tmp_path / name, metadata={"Date": None})
        return (tmp_path / name).read_bytes()

    first = drawn("first.svg")
    with matplotlib.rc_context({"lines.linewidth": 9, "axes.facecolor": "red"}):
        assert drawn("second.svg") == first


def test_a_gpu_is_locked_for_users_without_a_name_too(tmp_path, monkeypatch):
    """As in containers, whose user is a number that no list of accounts has."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", *devices.SCHEDULERS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 2**31 - 5)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(devices, "_held", {})
    assert devices.own_gpus(["0"]) == [0]
    devices._held[0].release()
    (lock,) = tmp_path.rglob("*.lock")
    assert lock.parent.name == f"equitune-gpus-{2**31 - 5}"


def test_property_tests_have_neither_a_clock_nor_chance():
    assert settings.default.deadline is None
    assert settings.default.derandomize
