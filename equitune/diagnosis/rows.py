"""Whether a model computes each row of its batch by itself, so that copies may pass together.

Attention over the batch, a contrastive head or a recurrent net with time in front mix rows: what
they give for one copy then depends on the copies beside it, and M_G is not the mean over g.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from equitune.diagnosis.differences import difference
from equitune.diagnosis.passes import Model

LARGE = 1_000_000  # elements; buffers of this size hold weights or tables, and no running state


def row_mixing(model: Model, parts: Sequence[Sequence[Any]], batched: Sequence[bool]) -> float:
    """Return how far outputs change when several parts pass together, relative to the largest.

    Args:
        model: gives one tensor (rows, …), or a list of them.
        parts: the model's inputs, once for each part; all parts have the same number of rows.
        batched: which inputs have a batch, (rows, …); the others are taken from the first part.

    Returns:
        max |together - alone| / max |alone|, over all parts and entries; infinite where the shapes
        do not fit, 0 where the output of a part is not a tensor with its rows in front.
    """
    alone = [_listed(model(*inputs)) for inputs in parts]
    rows = _tensors(parts[0], batched)[0].shape[0]
    if not all(isinstance(y, Tensor) and y.ndim and y.shape[0] == rows for ys in alone for y in ys):
        return 0.0  # an error of its own, which the call itself will tell
    columns = zip(zip(*parts, strict=True), batched, strict=True)
    together = _listed(model(*(torch.cat(xs) if has else xs[0] for xs, has in columns)))
    found = [0.0]
    for ys, y in zip(zip(*alone, strict=True), together, strict=True):
        expected = torch.cat(ys)
        if y.shape[:1] == expected.shape[:1]:  # else likewise
            found.append(difference(y, expected, expected))
    return max(found)


def _listed(output: Any) -> Any:
    return output if isinstance(output, list) else [output]


def mixes_rows(
    module: nn.Module,
    parts: Sequence[Sequence[Any]],
    batched: Sequence[bool],
    run: Callable[..., Any] | None = None,
) -> float:
    """Return the `row_mixing` of a module where it is more than rounding and chance, else 0.

    Tried in evaluation mode, with a copy of the module that shares its weights: the module, its
    buffers and the random generators stay as they are. A module that cannot be copied or run so is
    not tried, nor one spread over processes.

    Args:
        module: what is to be tried.
        parts: as for `row_mixing`; of few rows, as by `first_rows`.
        batched: as for `row_mixing`.
        run: gives of the module and its inputs one tensor (rows, …) or a list of them; by default
            it calls the module.
    """
    if len(parts) < 2 or (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return 0.0
    shared = [*module.parameters(), *(b for b in module.buffers() if b.numel() > LARGE)]
    devices = {x.device for x in (*shared, *_tensors(parts[0], batched)) if x.is_cuda}
    try:
        double = copy.deepcopy(module, {id(x): x for x in shared}).eval()
        with torch.no_grad(), torch.random.fork_rng([*devices]):
            model = double if run is None else partial(run, double)
            found = row_mixing(model, parts, batched)
            again = _repeated(model, parts[0]) if found > 0.0 else 0.0
    except Exception:  # the call itself fails in the same way, and reports it
        return 0.0
    allowed = _rounding([*module.parameters(), *_tensors(parts[0], batched)])
    return found if found > allowed and not again > 0.0 else 0.0


def _tensors(inputs: Sequence[Any], batched: Sequence[bool]) -> list[Tensor]:
    return [x for x, has in zip(inputs, batched, strict=True) if has]


def first_rows(inputs: Sequence[Any], batched: Sequence[bool]) -> list[Any]:
    """Return two rows of each input, the first twice if there is one: single rows are special."""
    return [
        (x[:2] if len(x) > 1 else torch.cat([x, x])).detach() if has else x
        for x, has in zip(inputs, batched, strict=True)
    ]


def _repeated(model: Model, inputs: Sequence[Any]) -> float:
    """Return the largest difference between two runs on the same inputs, which chance makes."""
    pairs = zip(_listed(model(*inputs)), _listed(model(*inputs)), strict=True)
    return max(float((a - b).abs().amax()) for a, b in pairs)


def _rounding(tensors: Sequence[Tensor]) -> float:
    """Return a relative difference that is far above rounding and far below any mixing."""
    dtypes = [x.dtype for x in tensors if x.is_floating_point()]
    coarsest = max((torch.finfo(dtype).eps for dtype in dtypes), default=0.0)
    return max(float(coarsest**0.5), 1e-3)
