"""What an error of equivariance means, given rounding and noise, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from equitune.diagnosis.differences import TOLERANCES, difference, real_dtype, tolerance_of
from equitune.diagnosis.passes import Model, Passes

REPEATS = 8  # runs on one input, at least, from which the noise of a model is estimated
NOISE = 10  # errors up to this many times the noise cannot be distinguished from it


class Noise(NamedTuple):
    """How far two runs on the same input differ, relative to the largest output, if at all.

    Attributes:
        same: where each pass started from the same noise, if that was asked.
        other: where it started from other noise.
    """

    same: float
    other: float

    def hides(self, error: float) -> bool:
        """Say whether an error can be noise."""
        return self.same > 0.0 and error <= NOISE * self.same

    def line(self, passes: Passes) -> list[str]:
        """Return a line for the report, if the model draws random numbers."""
        if self.same > 0.0:
            again = ", from the same noise too" if passes.seeded else ""
            return [f"  noise: two runs on one input differ by {self.same:.1e} (relative){again}"]
        if self.other > 0.0:
            return [
                f"  noise: the same in every pass; other noise changes f(x) by {self.other:.1e}"
            ]
        return []


def measured_noise(
    passes: Passes, inputs: Sequence[Any], output: Tensor, rounding: float, order: int
) -> Noise:
    """Measure the noise of a model, as often as the error if there is any; rounding is none."""

    def largest(run: Model) -> float:
        found = difference(run(*inputs), output, output)
        if not found > rounding:
            return 0.0
        rest = range(max(REPEATS, order) - 1)
        return max(found, *(difference(run(*inputs), output, output) for _ in rest))

    return Noise(largest(passes), largest(passes.otherwise) if passes.seeded else 0.0)


class Precision(NamedTuple):
    """What rounding explains.

    Attributes:
        dtype: the coarsest that the model is known to compute in.
        rounding: the largest relative error.
        where: that dtype was found.
        cuda: whether the output is on such a device.
    """

    dtype: torch.dtype
    rounding: float
    where: str
    cuda: bool


def precision_of(model: Model, output: Tensor, tolerance: float | None) -> Precision:
    """Return what rounding explains in an output; an integer one must be exact."""
    own, device = real_dtype(output.dtype), output.device.type
    if not own.is_floating_point:
        return Precision(own, 0.0, "outputs", False)
    known = own in TOLERANCES or tolerance is None
    found = [(tolerance_of(own) if known else 0.0, own, "outputs")]
    found += [(TOLERANCES.get(d, 0.0), d, "parameters") for d in parameter_dtypes(model)]
    if torch.is_autocast_enabled(device):
        d = torch.get_autocast_dtype(device)
        found.append((TOLERANCES.get(d, 0.0), d, "autocast"))
    rounding, dtype, where = max(found, key=lambda each: each[0])  # the first of equals
    return Precision(dtype, rounding, where, device == "cuda")


def parameter_dtypes(model: Any) -> list[torch.dtype]:
    """Return the dtypes of a module's parameters."""
    parameters = model.parameters() if isinstance(model, nn.Module) else ()
    return list(dict.fromkeys(real_dtype(p.dtype) for p in parameters))


def table(names: Sequence[str], errors: Tensor, tolerance: float) -> list[str]:
    """Return the report's lines of errors, one per element."""
    width = max(len("element"), *map(len, names))
    lines = [f"  {'element':<{width}}  max |f(gx) - g f(x)| / max |f(x)|"]
    for element, error in zip(names, errors.tolist(), strict=True):
        mark = "" if error <= tolerance else "  above tolerance"
        lines.append(f"  {element:<{width}}  {error:.1e}{mark}")
    return lines


def allowance(precision: Precision, tolerance: float) -> str:
    """Return the report's line of what passes, and why."""
    name = _name(precision.dtype)
    if not precision.dtype.is_floating_point:
        return f"  precision: {name} outputs are exact; tolerance {tolerance:.1e}"
    eps = torch.finfo(precision.dtype).eps
    of = "" if precision.where == "outputs" else f" (the dtype of {precision.where})"
    return (
        f"  precision: one {name} operation{of} rounds by up to {eps / 2:.1e}; "
        f"tolerance {tolerance:.1e} ({tolerance / eps:.0f} eps)"
    )


def verdict(
    errors: Tensor, precision: Precision, tolerance: float, noise: Noise, passes: Passes
) -> str:
    """Return in words what the errors (|G|,) say of the model."""
    worst = float(errors.max())  # nan if any is
    dtype, rounding = precision.dtype, precision.rounding
    if worst != worst:
        return "the model gave nan, so nothing can be said; look for its source first"
    if worst == 0.0:
        return "exact"
    if worst <= min(rounding, tolerance):
        coarse = rounding > TOLERANCES[torch.float32]
        unseen = f"; a fault below {rounding:.0e} is not seen in {_name(dtype)}, but in float32"
        return "equal up to rounding" + unseen * coarse
    if worst <= tolerance:
        return "within the tolerance given"
    if noise.hides(worst):
        if passes.seeded:
            return "cannot be told from noise: pass as generator= the one that the model draws from"
        return (
            "cannot be told from noise: pass seed=0 for the same noise in every pass, and "
            "generator= if the model draws from one of its own"
        )
    if worst <= NOISE * noise.other:
        return (
            "with the same noise in every pass the model does not follow the group; noise that is "
            "to move with the input has to be an input, with an action"
        )
    if dtype.is_floating_point and dtype != torch.float64 and worst <= _doubtful(precision):
        return "more than usual rounding; repeat in float64 (model.double()) to decide"
    return "too large for rounding: the model does not follow the group"


def _doubtful(precision: Precision) -> float:
    """Return the largest error that unusual rounding may explain: half of a dtype's digits.

    A multiple of `TOLERANCES` would be the whole range in half precision.
    """
    digits = float(torch.finfo(precision.dtype).eps ** 0.5)
    # CUDA may round the factors of float32 products to TensorFloat-32, of the digits of float16
    return max(digits, TOLERANCES[torch.float16]) if precision.cuda else digits


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
