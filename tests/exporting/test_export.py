"""`export`: the graph that is written is the model, at any batch size, or no file appears."""

import re

import pytest
import torch
from small_models import COMBINATIONS, TOLERANCE, Picture, plain_loop
from torch import nn

import equitune
from equitune.actions import Rotate90, Trivial
from equitune.canonical import Canonical
from equitune.exporting import formats
from equitune.symmetrize import EquiTuned, Mean

ROTATE = Rotate90()
KEEP = Trivial(ROTATE.group)
WAYS = COMBINATIONS | {"canonical": lambda: Canonical(lambda x: (x[:, 0, 0] * 7).sin().sum(1))}
FORMS = [".pt2", ".onnx"]


def need(suffix):
    if suffix == ".onnx":
        for package in ("onnx", "onnxscript", "onnxruntime"):
            pytest.importorskip(package, reason=f"{package} is of the extra export")


def reread(path):
    """What runs a file without a line of equitune."""
    if path.suffix == ".pt2":
        return torch.export.load(path).module()
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (name,) = (each.name for each in session.get_inputs())
    return lambda x: torch.from_numpy(session.run(None, {name: x.numpy()})[0])


def images(batch=3):
    return torch.randn(batch, 2, 5, 5)


CASES = [(way, ".pt2", None) for way in WAYS]
CASES += [("mean", ".pt2", 3), ("canonical", ".pt2", 1), ("canonical", ".onnx", None)]
LONG = [(way, ".onnx", None) for way in COMBINATIONS if way != "mean"]
LONG += [(way, suffix, 1) for way in WAYS for suffix in FORMS]


@pytest.mark.parametrize(
    ("way", "suffix", "chunk_size"),
    [*CASES, *(pytest.param(*case, marks=pytest.mark.slow) for case in LONG)],
)
def test_the_graph_is_the_model_at_other_batch_sizes(way, suffix, chunk_size, tmp_path):
    need(suffix)
    model = EquiTuned(Picture(), ROTATE, ROTATE, WAYS[way](), chunk_size=chunk_size)
    done = equitune.export(model, images(), tmp_path / f"graph{suffix}")
    assert done.batch_sizes == (1, 3, 7)
    assert done.difference < 1e-5
    assert done.error < 1e-5
    graph = reread(done.path)
    with torch.no_grad():
        for batch in (1, 2, 11):
            x = images(batch)
            torch.testing.assert_close(graph(x), model(x), atol=1e-5, rtol=1e-5)
    assert model.training


def free_size_has_a_name(path):
    import onnx

    (taken,) = onnx.load(path).graph.input
    assert taken.name == "x"
    assert taken.type.tensor_type.shape.dim[0].dim_param == "batch"


@pytest.mark.parametrize("suffix", FORMS)
def test_the_mean_is_that_of_a_plain_loop(suffix, tmp_path):
    need(suffix)
    dtype = torch.float64 if suffix == ".pt2" else torch.float32  # onnxruntime has no other Conv
    module = Picture().to(dtype)
    model = EquiTuned(module, ROTATE, ROTATE)
    done = equitune.export(model, images().to(dtype), tmp_path / f"graph{suffix}")
    x = images(4).to(dtype)
    expected = plain_loop(module, ROTATE, ROTATE, x).detach()
    close = TOLERANCE[dtype]
    torch.testing.assert_close(reread(done.path)(x), expected, atol=close, rtol=close)
    assert done.error < close
    if suffix == ".onnx":
        free_size_has_a_name(done.path)


class Captioned(nn.Module):
    """An image, perhaps a vector, and a flag, to a mask and classes."""

    def __init__(self):
        super().__init__()
        self.image, self.text = nn.Conv2d(2, 4, 3, padding=1), nn.Linear(5, 4)

    def forward(self, image, text=None, scale=1.0):
        mask = self.image(image) * scale
        logits = mask.mean((-2, -1))
        return {"mask": mask, "logits": logits if text is None else logits + self.text(text)}


@pytest.mark.parametrize("suffix", FORMS)
def test_trees_of_inputs_and_outputs(suffix, tmp_path):
    need(suffix)
    takes, gives = {"image": ROTATE, "text": KEEP}, {"mask": ROTATE, "logits": KEEP}
    model = EquiTuned(Captioned(), takes, gives)
    example = {"image": images(), "text": torch.randn(3, 5), "scale": 2.0}
    done = equitune.export(model, example, tmp_path / f"graph{suffix}")
    assert max(done.difference, done.error) < 1e-5


def test_several_inputs_by_place_and_one_without_a_batch(tmp_path):
    class Compared(nn.Module):
        def forward(self, image, texts):
            return (image.mean((-2, -1)) + image[:, :, 0, 1]) @ texts.T

    model = EquiTuned(Compared(), (ROTATE, None), KEEP)
    done = equitune.export(model, (images(), torch.randn(6, 2)), tmp_path / "graph.pt2")
    graph = reread(done.path)
    x, texts = images(4), torch.randn(6, 2)
    torch.testing.assert_close(graph(x, texts), model(x, texts))


def test_a_model_with_a_defect_is_written_with_it(tmp_path):
    """Of a student, or any other module, the actions are passed; it need not be exact."""
    student = Picture(classes=True)
    path = tmp_path / "graph.pt2"
    with pytest.raises(ValueError, match=r"Picture is not an EquiTuned: pass input_action= and"):
        equitune.export(student, images(), path)
    done = equitune.export(student, images(), path, input_action=ROTATE, output_action=KEEP)
    assert done.error > 1e-3
    assert done.error == pytest.approx(done.model_error, rel=1e-3)
    actions = {"input_action": ROTATE, "output_action": KEEP}
    path.unlink()
    with pytest.raises(ValueError, match=r"has an equivariance error of .* more than 1\.0e-03"):
        equitune.export(student, images(), path, **actions, tolerance=1e-3)
    assert not path.exists()


def test_sampled_and_compiled_models_are_written_whole(tmp_path):
    model = EquiTuned(Picture(), ROTATE, ROTATE, sample=2)
    path = tmp_path / "graph.pt2"
    equitune.export(torch.compile(model, backend="eager"), images(), path)
    x = images()
    torch.testing.assert_close(reread(path)(x), EquiTuned(model.module, ROTATE, ROTATE)(x))


def test_the_line_tells_what_was_measured(tmp_path):
    done = equitune.export(EquiTuned(Picture(), ROTATE, ROTATE), images(), tmp_path / "graph.pt2")
    assert re.fullmatch(
        r".*graph\.pt2: at batch sizes 1, 3, 7 it differs from the model by \S+ \(relative\); "
        r"equivariance error \S+, of the model \S+",
        str(done),
    )


class Decides(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class FixesTheBatch(nn.Module):
    def forward(self, x):
        return x.reshape(12, 2, 5, 5) * 2


class UsesNumPy(nn.Module):
    def forward(self, x):
        return torch.from_numpy(x.detach().numpy() * 2)


REFUSED = {
    "decides": (Decides, r"its forward decides by the values of a tensor: write torch\.where"),
    "fixes the batch": (FixesTheBatch, r"its forward fixes the batch size: use x\.shape\[0\]"),
    "NumPy": (UsesNumPy, r"its forward must be tensor code alone, without NumPy"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_model_that_cannot_be_exported_is_refused_in_a_line(name, tmp_path, capfd):
    module, reason = REFUSED[name]
    model = EquiTuned(module(), ROTATE, ROTATE)
    model._tried = True
    path = tmp_path / "graph.pt2"
    path.write_text("an earlier one")
    said = rf"^EquiTuned of {module.__name__} cannot be exported: {reason}.*\)$"
    with pytest.raises(ValueError, match=said) as refused:
        equitune.export(model, images(), path)
    assert "\n" not in str(refused.value)
    assert path.read_text() == "an earlier one"
    assert [file.name for file in tmp_path.iterdir()] == ["graph.pt2"]
    assert capfd.readouterr().err == ""


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_a_scripted_model_says_what_to_pass(tmp_path):
    scripted = torch.jit.script(nn.Conv2d(2, 2, 1))
    actions = {"input_action": ROTATE, "output_action": ROTATE}
    with pytest.raises(ValueError, match="it is scripted: pass the module that it was scripted"):
        equitune.export(scripted, images(), tmp_path / "graph.pt2", **actions)


@pytest.mark.parametrize(
    ("how", "error", "said"),
    [
        ({"path": "graph.pt"}, ValueError, r"graph\.pt ends in '\.pt': expected \.pt2 or \.onnx"),
        ({"example": images(0)}, ValueError, "the example has a batch of 0"),
        ({"example": (images(), images())}, ValueError, "2 inputs for 1 input actions"),
        ({"model": torch.relu}, TypeError, "expected an nn.Module"),
    ],
    ids=["suffix", "no rows", "two inputs", "function"],
)
def test_bad_arguments_are_refused_before_anything_is_traced(how, error, said, tmp_path):
    model = EquiTuned(Picture(), ROTATE, ROTATE)
    given = {"model": model, "example": images(), "path": "graph.pt2"} | how
    with pytest.raises(error, match=said):
        equitune.export(given["model"], given["example"], tmp_path / given["path"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (lambda x, y: y + 1e-3, "differs from the model by"),
        (lambda x, y: y * torch.nan, "differs from the model by nan"),
        (lambda x, y: y + 3e-6 * torch.rand(5, 5), "has an equivariance error of"),
    ],
    ids=["shifted", "nan", "not equivariant"],
)
def test_a_graph_that_is_not_as_exact_is_not_written(fault, said, tmp_path, monkeypatch):
    read = formats.FORMATS[".pt2"].read

    def faulty(path, program):
        graph = read(path, program)
        return formats.Graph(lambda x: fault(x, graph(x)))

    broken = formats.FORMATS[".pt2"]._replace(read=faulty)
    monkeypatch.setitem(formats.FORMATS, ".pt2", broken)
    monkeypatch.setattr(
        "equitune.exporting.export.precision", lambda *_: 1e-5 if "differs" in said else 1e-8
    )
    monkeypatch.setattr(
        "equitune.exporting.export.difference",
        lambda a, b, c: 0.0 if "error" in said else float((a - b).abs().max()),
    )
    path = tmp_path / "graph.pt2"
    with pytest.raises(
        ValueError, match=rf"^graph\.pt2 was not written: the graph of EquiTuned {said}"
    ):
        equitune.export(EquiTuned(Picture(), ROTATE, ROTATE, Mean()), images(), path)
    assert not list(tmp_path.iterdir())


def test_without_its_packages_onnx_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr("equitune.compat.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'equitune\[export\]'"):
        equitune.export(EquiTuned(Picture(), ROTATE, ROTATE), images(), tmp_path / "graph.onnx")
