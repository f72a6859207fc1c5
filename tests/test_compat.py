"""torchvision, timm, transformers and PEFT import behind equitune, in any order."""

import importlib.util
import itertools
import subprocess
import sys

import pytest

from equitune.compat import extra, repair_torchvision


def needs(package):
    """Skip a test where a package is not installed."""
    absent = importlib.util.find_spec(package) is None
    return pytest.mark.skipif(absent, reason=f"{package} is not installed")


def python(code, *path):
    """Run code in a process of its own, as an import stays; folders of the path come first."""
    lines = ["import sys", f"sys.path[:0] = {[str(folder) for folder in path]!r}", code]
    return subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False
    )


@needs("torchvision")
def test_models_transforms_and_features_work():
    done = python(
        "import torch, equitune, torchvision\n"
        "from torchvision import datasets\n"
        "from torchvision.models.feature_extraction import create_feature_extractor\n"
        "from torchvision.transforms import v2\n"
        "network = torchvision.models.resnet18()\n"
        "model = create_feature_extractor(network, {'avgpool': 'features'})\n"
        "x = v2.CenterCrop(32)(torch.zeros(2, 3, 40, 40))\n"
        "print(tuple(model.eval()(x)['features'].shape))\n"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "(2, 512, 1, 1)\n"


PACKAGES = [
    name
    for name in ("torchvision", "timm", "transformers", "peft")
    if importlib.util.find_spec(name) is not None
]


@pytest.mark.skipif(len(PACKAGES) < 2, reason="fewer than two of the packages are installed")
@pytest.mark.parametrize(
    "order",
    [
        pytest.param(
            order,
            id=" then ".join(order),
            marks=() if {*order} == {*PACKAGES[:2]} else pytest.mark.slow,
        )
        for order in itertools.permutations(PACKAGES, 2)
    ],
)
def test_they_import_in_any_order(order):
    first, second = order
    models = "from transformers import GPT2LMHeadModel; " if "transformers" in order else ""
    done = python(f"import equitune; import {first}; import {second}; {models}print('done')")
    assert done.stdout == "done\n", done.stderr


def test_one_that_imports_is_left_alone(tmp_path):
    (tmp_path / "torchvision.py").write_text("answer = 42")
    done = python(
        "import torch, equitune, torchvision\n"
        "print(torchvision.answer, hasattr(torch.ops.torchvision, 'nms'))",
        tmp_path,
    )
    assert done.stdout == "42 False\n", done.stderr


def test_a_missing_operator_is_declared_and_the_import_repeated(tmp_path):
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "ops.py").write_text("import torch\ntorch.ops.torchvision.nms.default")
    (package / "__init__.py").write_text(
        "import torch\n"
        "if not hasattr(torch.ops.torchvision, 'nms'):\n"
        "    raise RuntimeError('operator torchvision::nms does not exist')\n"
        "from torchvision import ops\n"
    )
    done = python("import equitune, torchvision; print(torchvision.ops.__name__)", tmp_path)
    assert done.stdout == "torchvision.ops\n", done.stderr


def test_another_failure_is_not_hidden(tmp_path):
    (tmp_path / "torchvision.py").write_text("raise RuntimeError('of another kind')")
    error = python("import equitune, torchvision", tmp_path).stderr
    assert "RuntimeError: of another kind" in error


def test_the_hook_is_installed_once():
    before = list(sys.meta_path)
    repair_torchvision()
    assert sys.meta_path == before


@pytest.mark.parametrize(
    ("package", "name"), [("torchvision", "image"), ("transformers", "language")]
)
def test_a_missing_package_names_what_to_install(monkeypatch, package, name):
    monkeypatch.setitem(sys.modules, package, None)
    advice = rf"pip install 'equitune\[{name}\]'"
    with pytest.raises(ModuleNotFoundError, match=advice), extra(name):
        importlib.import_module(package)


def test_what_a_package_itself_misses_is_named(tmp_path):
    (tmp_path / "transformers.py").write_text("import nowhere_to_be_found")
    code = "from equitune.compat import extra\nwith extra('language'):\n    import transformers"
    error = python(code, tmp_path).stderr.splitlines()[-1]
    advice = "pip install 'equitune[language]'"
    assert error == f"ModuleNotFoundError: nowhere_to_be_found is not installed: {advice}"
