"""Tensors of every kind are saved bit by bit, or are refused before any file is written."""

import warnings

import pytest
import torch
from small_saved import Facts, check_comes_back, equal, linear, refused
from torch import nn

from equitune.saving import pretrained
from equitune.symmetrize import EquiTuned


def quantized():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(linear(), {nn.Linear})


def holding(tensor):
    """A module with such a buffer."""
    module = linear()
    module.register_buffer("held", tensor)
    return module


def quantized_tensor():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.quantize_per_tensor(torch.randn(3), 0.1, 0, torch.qint8)


class Wrapped(torch.Tensor):
    """A tensor whose values stand elsewhere, as those of quantizing and sharding libraries."""

    @staticmethod
    def __new__(cls, values):
        return torch.Tensor._make_wrapper_subclass(cls, values.shape)

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return args[0] if func is torch.ops.aten.detach.default else NotImplemented


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (quantized, "is dtype, no tensor: a quantized module is saved before quantizing"),
        (lambda: holding(quantized_tensor()), "held is torch.qint8, quantized: save before"),
        (lambda: nn.LazyLinear(2), "weight has no shape yet: run the module once"),
        (lambda: linear(device="meta"), "0.weight is on the meta device, without values"),
        (lambda: holding(torch.eye(3).to_sparse()), "held is torch.sparse_coo: make it dense"),
        (lambda: holding(torch.arange(3).expand(2, 3)), "held repeats its values in memory"),
        (lambda: holding(Wrapped(torch.zeros(3))), "held is Wrapped, no plain tensor"),
        (lambda: holding(torch.zeros(2, dtype=torch.uint8).view(torch.bits8)), "no format"),
    ],
    ids=["quantized", "qint8", "lazy", "meta", "sparse", "expanded", "subclass", "dtype"],
)
def test_what_cannot_be_saved_is_named_before_any_file(tmp_path, module, words):
    text = refused(equal(module()), tmp_path / "model")
    assert words in text
    assert text.startswith(f"{tmp_path / 'model'} is not written: module.")


def test_an_earlier_folder_stays_when_a_model_is_refused(tmp_path):
    equal(linear()).save_pretrained(tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    for module in (linear(device="meta"), Facts({"when": {1}}), quantized()):
        with pytest.raises(ValueError, match="is not written"):
            equal(module).save_pretrained(tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_weights_are_not_loaded_into_the_meta_device(tmp_path):
    equal(linear()).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"module\.0\.weight is on the meta device, where nothing"):
        EquiTuned.from_pretrained(tmp_path, linear(device="meta"))


def test_weights_give_a_lazy_module_its_shape(tmp_path):
    model = equal(nn.Linear(4, 2))
    model.save_pretrained(tmp_path)
    check_comes_back(
        model, EquiTuned.from_pretrained(tmp_path, nn.LazyLinear(2)), torch.randn(5, 4)
    )


@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
@pytest.mark.parametrize("dtype", [torch.complex32, torch.complex64, torch.complex128])
def test_complex_weights_come_back(tmp_path, dtype):
    values = torch.randn(3, 2, dtype=torch.complex128)
    model = equal(holding(values.to(dtype)))
    model.save_pretrained(tmp_path)
    again = EquiTuned.from_pretrained(tmp_path, holding(torch.zeros(3, 2, dtype=dtype)))
    assert again.module.held.tolist() == values.to(dtype).tolist()
    with pytest.raises(ValueError, match=rf"held is {dtype}, expected torch\.float64"):
        EquiTuned.from_pretrained(tmp_path, holding(torch.zeros(3, 2, dtype=torch.float64)))


def test_views_that_are_not_as_they_stand_in_memory_come_back(tmp_path):
    """A conjugate and a negative view, of which the memory holds something else."""
    values = torch.randn(3, 2, dtype=torch.complex64)
    model = equal(holding(values.conj()))
    model.module.register_buffer("as_it_stands", values)
    model.module.register_buffer("negative", values.conj().imag)
    assert model.module.negative.is_neg()
    model.save_pretrained(tmp_path)
    blank = holding(torch.zeros(3, 2, dtype=torch.complex64))
    blank.register_buffer("as_it_stands", torch.zeros(3, 2, dtype=torch.complex64))
    blank.register_buffer("negative", torch.zeros(3, 2))
    again = EquiTuned.from_pretrained(tmp_path, blank)
    assert torch.equal(again.module.held, torch.complex(values.real, -values.imag))
    assert torch.equal(again.module.negative, -values.imag)
    assert torch.equal(again.module.as_it_stands, values)


class Overlapping(nn.Module):
    """Two windows on the same memory, one transposed view of it, and one of another shape."""

    def __init__(self, size=12):
        super().__init__()
        whole = torch.randn(size)
        self.register_buffer("a", whole[:8])
        self.register_buffer("b", whole[4:])
        self.register_buffer("matrix", whole.view(3, 4))
        self.register_buffer("turned", whole.view(3, 4).T)

    def forward(self, x):
        return torch.stack([x @ self.a[:4], x @ self.turned @ self.b[:3]], 1)


def test_overlapping_and_turned_tensors_come_back(tmp_path):
    model = equal(Overlapping())
    model.save_pretrained(tmp_path)
    again = EquiTuned.from_pretrained(tmp_path, Overlapping())
    for key, x in model.module.state_dict().items():
        assert torch.equal(again.module.state_dict()[key], x), key
    # the same in a module in which nothing overlaps; there another value in one window is kept
    plain = Overlapping()
    for key, x in plain.named_buffers():
        setattr(plain, key, torch.zeros(x.shape))
    apart = EquiTuned.from_pretrained(tmp_path, plain)
    check_comes_back(model, apart, torch.randn(5, 4))
    apart.module.a += 1
    apart.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="the module shares its memory"):
        EquiTuned.from_pretrained(tmp_path, Overlapping())


def test_weights_of_other_kinds_of_number_are_not_rounded(tmp_path):
    equal(holding(torch.tensor([0.5]))).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"held is torch\.float32, expected torch\.int64"):
        EquiTuned.from_pretrained(tmp_path, holding(torch.tensor([0])))


def test_every_bit_is_compared_before_a_file_is_replaced(tmp_path, monkeypatch):
    model = equal(holding(torch.tensor([float("nan"), -0.0])))
    model.save_pretrained(tmp_path)  # nan is what it is
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    write = pretrained.save_file

    def differently(tensors, path):
        write({**tensors, "module.held": tensors["module.held"].abs()}, path)  # 0.0 for -0.0

    monkeypatch.setattr(pretrained, "save_file", differently)
    with pytest.raises(ValueError, match=r"is left as it was: module\.held read back differently"):
        model.save_pretrained(tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
