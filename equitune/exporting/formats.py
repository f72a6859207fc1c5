"""The two forms of a graph, by the suffix of its file: how it is written, and how it is run."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.export.graph_signature import OutputKind, TensorArgument
from torch.utils import _pytree as pytree

from equitune.compat import extra, require

LARGEST = 2**31 - 1  # bytes of one ONNX file


class Graph:
    """A graph that was read from a file; called as the model is.

    Args:
        run: what runs it.
    """

    def __init__(self, run: Callable[..., Any]) -> None:
        """Store it."""
        self.run = run

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Return what the graph gives."""
        return self.run(*inputs, **named)

    __call__ = forward


class Format(NamedTuple):
    """One form of a graph.

    Attributes:
        check: raises what says which package is missing, if one is.
        write: writes a program to a path, given its free sizes as `torch.export.export` has them.
        read: returns the graph of a path, given the program that it was made from.
    """

    check: Callable[[], None]
    write: Callable[[ExportedProgram, Any, Path], None]
    read: Callable[[Path, ExportedProgram], Graph]


def _write_pt2(program: ExportedProgram, shapes: Any, path: Path) -> None:
    torch.export.save(program, path)


def _read_pt2(path: Path, program: ExportedProgram) -> Graph:
    return Graph(torch.export.load(path).module())


def _write_onnx(program: ExportedProgram, shapes: Any, path: Path) -> None:
    held = sum(x.nbytes for x in (*program.state_dict.values(), *program.constants.values()))
    if held > LARGEST:
        raise ValueError(f"its weights take {held} bytes, and one ONNX file at most {LARGEST}")
    with quiet():  # the shapes give the free size its name
        written = torch.onnx.export(program, verbose=False, dynamic_shapes=shapes)
    assert written is not None
    written.save(path, external_data=False)


def _read_onnx(path: Path, program: ExportedProgram) -> Graph:
    with extra("export"):
        import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; its warnings are of graphs that it has made faster
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    taken = {each.name for each in session.get_inputs()}
    names = [spec.arg.name for spec in program.graph_signature.input_specs if _is_user(spec)]

    def run(*inputs: Any, **named: Any) -> Any:
        leaves = pytree.tree_leaves((inputs, named))
        given = zip(names, leaves, strict=True)
        feed = {name: x.detach().cpu().numpy() for name, x in given if name in taken}
        arrays = session.run(None, feed)
        return _nested([torch.from_numpy(array) for array in arrays], program)

    return Graph(run)


def _is_user(spec: Any) -> bool:
    return bool(spec.kind == torch.export.graph_signature.InputKind.USER_INPUT)


def _nested(tensors: Sequence[Tensor], program: ExportedProgram) -> Any:
    """Return the outputs of a graph, nested as the model nests them."""
    rest: Iterator[Tensor] = iter(tensors)
    values = [
        next(rest) if isinstance(spec.arg, TensorArgument) else getattr(spec.arg, "value", None)
        for spec in program.graph_signature.output_specs
        if spec.kind == OutputKind.USER_OUTPUT
    ]
    structure = program.call_spec.out_spec
    return pytree.tree_unflatten(values, structure) if structure is not None else values


@contextmanager
def quiet() -> Iterator[None]:
    """Keep back what torch says about its own code, and the graphs that it prints beside errors."""
    log = logging.getLogger("torch.fx.experimental.symbolic_shapes")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            # where a flag is part of the graph; the free size then keeps torch's name
            warnings.filterwarnings("ignore", ".*ONNX model has different number of inputs")
            yield
    finally:
        log.setLevel(level)


FORMATS = {
    ".pt2": Format(lambda: None, _write_pt2, _read_pt2),
    ".onnx": Format(
        lambda: require("export", "onnx", "onnxscript", "onnxruntime"), _write_onnx, _read_onnx
    ),
}
