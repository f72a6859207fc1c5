"""torchvision and transformers import beside any build of torch, and are left alone if they can."""

import importlib.util
import subprocess
import sys

import pytest

from equitune.vision import import_torchvision, import_transformers

needs_torchvision = pytest.mark.skipif(
    importlib.util.find_spec("torchvision") is None, reason="torchvision is not installed"
)
needs_transformers = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="transformers is not installed"
)


def python(code, *path):
    """Run code in a process of its own, as an import stays; folders of the path come first."""
    lines = ["import sys", f"sys.path[:0] = {[str(folder) for folder in path]!r}", code]
    return subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False
    )


@needs_torchvision
def test_models_transforms_and_features_work():
    done = python(
        "import torch\n"
        "from equitune.vision import import_torchvision\n"
        "vision = import_torchvision()\n"
        "from torchvision import datasets\n"
        "from torchvision.models.feature_extraction import create_feature_extractor\n"
        "from torchvision.transforms import v2\n"
        "model = create_feature_extractor(vision.models.resnet18(), {'avgpool': 'features'})\n"
        "x = v2.CenterCrop(32)(torch.zeros(2, 3, 40, 40))\n"
        "print(tuple(model.eval()(x)['features'].shape), import_torchvision() is vision)\n"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "(2, 512, 1, 1) True\n"


def test_one_that_imports_is_left_alone(tmp_path):
    (tmp_path / "torchvision.py").write_text("answer = 42")
    done = python(
        "import torch\n"
        "from equitune.vision import import_torchvision\n"
        "print(import_torchvision().answer, hasattr(torch.ops.torchvision, 'nms'))",
        tmp_path,
    )
    assert done.stdout == "42 False\n", done.stderr


def test_another_failure_is_not_hidden(tmp_path):
    (tmp_path / "torchvision.py").write_text("raise RuntimeError('of another kind')")
    code = "from equitune.vision import import_torchvision\nimport_torchvision()"
    assert "RuntimeError: of another kind" in python(code, tmp_path).stderr


def test_a_missing_one_names_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'equitune\[image\]'"):
        import_torchvision()


@needs_transformers
def test_models_of_transformers_work():
    done = python(
        "from equitune.vision import import_transformers\n"
        "import_transformers()\n"
        "from transformers import GPT2Config, GPT2LMHeadModel\n"
        "import torch\n"
        "model = GPT2LMHeadModel(GPT2Config(vocab_size=9, n_embd=4, n_layer=1, n_head=1))\n"
        "print(tuple(model(torch.zeros(1, 2).long()).logits.shape))"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "(1, 2, 9)\n"


def test_transformers_is_imported_after_torchvision(tmp_path):
    (tmp_path / "torchvision.py").write_text("")
    (tmp_path / "transformers.py").write_text("import sys\nseen = 'torchvision' in sys.modules")
    code = "from equitune.vision import import_transformers\nprint(import_transformers().seen)"
    assert python(code, tmp_path).stdout == "True\n"


def test_transformers_does_without_torchvision(tmp_path):
    (tmp_path / "transformers.py").write_text("answer = 42")
    code = (
        "sys.modules['torchvision'] = None\n"
        "from equitune.vision import import_transformers\n"
        "print(import_transformers().answer)"
    )
    assert python(code, tmp_path).stdout == "42\n"


def test_missing_transformers_names_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'equitune\[language\]'"):
        import_transformers()


def test_what_transformers_itself_misses_is_named(tmp_path):
    (tmp_path / "torchvision.py").write_text("")
    (tmp_path / "transformers.py").write_text("import nowhere_to_be_found")
    code = "from equitune.vision import import_transformers\nimport_transformers()"
    error = python(code, tmp_path).stderr.splitlines()[-1]
    advice = "pip install 'equitune[language]'"
    assert error == f"ModuleNotFoundError: nowhere_to_be_found is not installed: {advice}"
