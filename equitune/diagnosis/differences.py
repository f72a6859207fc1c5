"""How far tensors are apart, and how much of it rounding explains."""

from __future__ import annotations

import torch
from torch import Tensor

# largest relative error that rounding explains in a model of usual depth; integers must agree
TOLERANCES = {
    torch.float64: 1e-12,
    torch.float32: 1e-5,
    torch.float16: 1e-2,
    torch.bfloat16: 8e-2,
}
FITTED = 4096  # rows from which a matrix is computed; it must then hold for all


def tolerance_of(dtype: torch.dtype) -> float:
    """Return what rounding explains in values of a dtype: 0 for integers.

    Raises:
        TypeError: the dtype is too coarse to tell rounding from a fault, as float8.
    """
    real = real_dtype(dtype)
    if real.is_floating_point and real not in TOLERANCES:
        raise TypeError(
            f"values are {dtype}, which is too coarse to tell rounding from a fault: convert them "
            "to float32 first, or pass tolerance="
        )
    return TOLERANCES.get(real, 0.0)


def real_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype of the real part."""
    return dtype.to_real() if dtype.is_complex else dtype


def difference(a: Tensor, b: Tensor, reference: Tensor) -> float:
    """Return max |a - b| / max |reference| in float64; equal entries differ by 0, 0 / 0 is 0.

    Args:
        a: any shape; infinite where the shape of b is another.
        b: in the shape of a.
        reference: any shape; its infinite entries do not count.
    """
    if a.shape != b.shape:
        return float("inf")
    if a.numel() == 0:
        return 0.0
    a, b, reference = (double(x) for x in (a, b, reference))
    largest = float(torch.where(a == b, 0.0, (a - b).abs()).max())
    sizes = reference.abs()
    scale = float(sizes[sizes.isfinite()].max()) if sizes.isfinite().any() else 0.0
    if largest == 0.0 or scale > 0.0:
        return largest / scale if scale > 0.0 else 0.0
    return largest if largest != largest else float("inf")


def double(x: Tensor) -> Tensor:
    """Return x in double precision, on the CPU first, as some devices have no float64."""
    return x.detach().cpu().to(torch.complex128 if x.is_complex() else torch.float64)


def matrix_between(x: Tensor, y: Tensor, axis: int, tolerance: float) -> Tensor | None:
    """Return the matrix R with y = R x along an axis, or None where there is none, or many.

    Args:
        x: (…, size, …); there must be four times as many vectors as entries in each, so that no
            matrix fits by chance.
        y: in the shape of x.
        axis: along which the vectors stand.
        tolerance: how far y may be from R x, relative to the largest entry of y.

    Returns:
        (size, size) in float64.
    """
    if x.shape != y.shape or x.is_complex() or y.is_complex():
        return None
    size = x.shape[axis]
    before, after = (double(z).movedim(axis, -1).reshape(-1, size) for z in (x, y))
    if not 0 < 4 * size <= min(len(before), FITTED) or not bool((before + after).isfinite().all()):
        return None
    step = -(-len(before) // FITTED)
    some = before[::step]
    if int(torch.linalg.matrix_rank(some)) < size:
        return None
    matrix: Tensor = torch.linalg.lstsq(some, after[::step]).solution.T
    return matrix if difference(before @ matrix.T, after, after) <= tolerance else None
