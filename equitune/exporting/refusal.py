"""Why a model cannot be exported, in a line, and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from equitune.diagnosis.passes import kind
from equitune.io.files import WriteError
from equitune.symmetrize import EquiTuned

LETTERS = 200  # of what torch says

# what torch says of a cause, and what to do about it; the first that is found counts
CAUSES = (
    (
        r"data-dependent|GuardOnDataDependent|\.item\(\)|unbacked",
        "its forward decides by the values of a tensor: write torch.where, or torch.cond, in the "
        "place of `if`, of float(x) and of .item()",
    ),
    (
        r"specialized it to be a constant|Constraints violated|Not all values of",
        "its forward fixes the batch size: use x.shape[0] or -1 where it has a number, and no loop "
        "over rows",
    ),
    (
        r"ScriptModule",
        "it is scripted: pass the module that it was scripted from",
    ),
    (
        r"ONNX|onnx|bytes, and one ONNX file",
        "export to .pt2, or put what ONNX has in the place of the operator that is named",
    ),
    (
        r"pytree|Unsupported|input type",
        "torch.export does not know a container of its inputs or outputs: return tensors in "
        "tuples, lists or dictionaries, or register the class by torch.export.register_dataclass",
    ),
)
OTHERWISE = "its forward must be tensor code alone, without NumPy, files or other programs"


@contextmanager
def refusal(model: nn.Module, what: str = "exported") -> Iterator[None]:
    """Turn whatever stops torch or ONNX inside into one line.

    Args:
        model: that is exported.
        what: what it cannot be.

    Raises:
        ValueError: with the reason and what to do.
    """
    try:
        yield
    except (WriteError, ModuleNotFoundError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno:
            raise  # of the disk, which `atomic_write` explains
        text = "\n".join(_told(error))
        advice = next((advice for words, advice in CAUSES if re.search(words, text)), OTHERWISE)
        name = (
            f"{kind(model)} of {kind(model.module)}"
            if isinstance(model, EquiTuned)
            else kind(model)
        )
        raise ValueError(f"{name} cannot be {what}: {advice} ({_first_line(text)})") from error


def _told(error: BaseException | None) -> Iterator[str]:
    """Yield what an error and those behind it say, the first cause first."""
    if error is not None:
        yield from _told(error.__cause__ or error.__context__)
        yield f"{type(error).__name__}: {error}"


def _first_line(text: str) -> str:
    line = next(line.strip() for line in text.splitlines() if line.strip())
    return line if len(line) <= LETTERS else f"{line[:LETTERS]}…"
