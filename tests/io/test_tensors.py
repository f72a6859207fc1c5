"""Tensors are written as safetensors writes them, from where they stand."""

import pytest
import torch
from allocated import most_bytes
from safetensors.torch import save

from equitune.io.files import load_tensors, save_tensors
from equitune.io.tensors import Parts

DTYPES = [
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.float16,
    torch.bfloat16,
    torch.int32,
    torch.float32,
    torch.complex64,
    torch.float64,
    torch.int64,
    torch.float8_e4m3fn,
]
METADATA = {"word": 'für "x"\n', "counts": [1, 2]}
TEXT = '{"counts": [1, 2], "word": "f\\u00fcr \\"x\\"\\n"}'


def of_all_dtypes():
    numbers = torch.arange(1, 7).view(2, 3)
    return {f'{dtype} ü\t"{place}"': numbers.to(dtype) for place, dtype in enumerate(DTYPES)}


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        of_all_dtypes(),
        {"number": torch.tensor(3.5), "empty": torch.empty(0, 4), "one": torch.ones(1)},
        {name: torch.ones(1, dtype=dtype) for name, dtype in zip("edcba", DTYPES, strict=False)},
    ],
    ids=["none", "all dtypes", "shapes", "names against dtypes"],
)
def test_the_bytes_are_those_that_safetensors_writes(tmp_path, tensors):
    save_tensors(tmp_path / "own", tensors, METADATA)
    assert (tmp_path / "own").read_bytes() == save(tensors, {"metadata": TEXT})


def test_two_values_to_an_element_have_the_shape_that_safetensors_gives_them(tmp_path):
    kind = getattr(torch, "float4_e2m1fn_x2", None)
    if kind is None:
        pytest.skip("this torch has no values of four bits")
    for shape in ((6,), (2, 3)):
        tensors = {"x": torch.arange(6, dtype=torch.uint8).view(kind).view(shape)}
        save_tensors(tmp_path / "own", tensors)
        assert (tmp_path / "own").read_bytes() == save(tensors, {"metadata": "{}"})


def test_parts_are_written_as_the_whole(tmp_path):
    whole = torch.arange(70, dtype=torch.int32).view(7, 5, 2)
    parts = Parts(whole.shape, whole.dtype, (part for part in whole.split(3)))
    save_tensors(tmp_path / "whole", {"x": whole, "y": torch.ones(2)})
    save_tensors(tmp_path / "parts", {"x": parts, "y": torch.ones(2)})
    assert (tmp_path / "parts").read_bytes() == (tmp_path / "whole").read_bytes()


def test_a_part_that_cannot_be_made_leaves_the_file_as_it_was(tmp_path):
    def parts():
        yield torch.zeros(2)
        raise ValueError("no second part")

    (tmp_path / "x").write_text("old")
    with pytest.raises(ValueError, match="no second part"):
        save_tensors(tmp_path / "x", {"x": Parts((4,), torch.float32, parts())})
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_neither_writing_nor_reading_copies_the_tensors(tmp_path):
    path, pixels = tmp_path / "x", torch.arange(2**21, dtype=torch.uint8)

    def both():
        parts = Parts(pixels.shape, pixels.dtype, (part.clone() for part in pixels.split(2**15)))
        save_tensors(path, {"x": pixels, "y": pixels[5:], "z": parts})
        assert load_tensors(path)[0]["y"][2**20] == (2**20 + 5) % 256

    assert most_bytes(both, tmp_path, [path]) < path.stat().st_size / 20
