"""torchvision imports beside any build of torch, and is left alone where it can be."""

import importlib.util
import subprocess
import sys

import pytest

from equitune.vision import import_torchvision

needs_torchvision = pytest.mark.skipif(
    importlib.util.find_spec("torchvision") is None, reason="torchvision is not installed"
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
