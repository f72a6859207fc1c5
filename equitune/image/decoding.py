"""Files of images, decoded and prepared alike; what is not an image is named before decoding."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from equitune.compat import extra
from equitune.image.tree import SHOWN, Place

with extra("image"):
    from PIL import Image, UnidentifiedImageError

logger = logging.getLogger(__name__)

# decoders that Pillow may use; a GIF among photographs says that one is gone, as in Hymenoptera
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM")
WIDE = 257  # 65535 / 255: from 16 bits a channel to 8
# what Pillow raises for bytes that are not a whole image
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


def decode(
    place: Place, files: Sequence[Path], size: int, crop: str, broken: str
) -> tuple[Tensor, Tensor]:
    """Return the prepared pixels of the files that can be decoded, and their places (n,).

    Raises:
        ValueError: files cannot be decoded, or images have different shapes, and that is not
            allowed.
    """
    if broken == "refuse":  # before minutes are spent on decoding all others
        _refuse(place, {file: fault for file in files if (fault := _fault(file))}, len(files))
    pixels = torch.empty(0)
    kept: list[int] = []
    faults: dict[Path, str] = {}
    wide = 0
    for nth, file in enumerate(files):
        data = file.read_bytes()  # apart, as a disk that fails is not a broken image
        try:
            image, is_wide = _rgb(data)
        except UNREADABLE as error:
            faults[file] = _said(error)
            continue
        wide += is_wide
        prepared = prepare(image, size, crop)
        if not kept:
            pixels = torch.empty(len(files), *prepared.shape, dtype=torch.uint8)
        elif prepared.shape != pixels.shape[1:]:
            raise ValueError(
                f"{place.name(files[kept[0]])} comes out as {tuple(pixels.shape[1:])} and "
                f"{place.name(file)} as {tuple(prepared.shape)}, (channels, height, width): set "
                f"image.sources.{place.dataset}.crop: center"
            )
        pixels[len(kept)] = prepared
        kept.append(nth)
    if broken == "refuse":
        _refuse(place, faults, len(files))
    for file, fault in faults.items():
        logger.warning("left out, as it cannot be decoded: %s (%s)", place.name(file), fault)
    if wide:
        logger.warning("%d images of 16 bits a channel: divided by %d, to 8 bits", wide, WIDE)
    return pixels[: len(kept)], torch.tensor(kept, dtype=torch.long)


def prepare(image: Image.Image, size: int, crop: str) -> Tensor:
    """Resize and crop an RGB image: (3, height, width) uint8."""
    with extra("image"):
        import torchvision

    functional = torchvision.transforms.functional
    resized = functional.resize(image, [size], antialias=True)  # bilinear; the shorter side
    if crop == "center":
        resized = functional.center_crop(resized, [size, size])
    pixels: Tensor = functional.pil_to_tensor(resized)
    return pixels


def _refuse(place: Place, faults: dict[Path, str], count: int) -> None:
    """Raise a ValueError that names the first files that cannot be decoded, if there are any."""
    if not faults:
        return
    shown = [f"{place.name(file)} ({fault})" for file, fault in faults.items()][:SHOWN]
    more = ", …" if len(faults) > SHOWN else ""
    raise ValueError(
        f"{len(faults)} of {count} files cannot be decoded: {', '.join(shown)}{more}: "
        f"{place.advice}"
    )


def _fault(file: Path) -> str | None:
    """Return what is wrong with the head of a file; no pixel is decoded."""
    with file.open("rb") as stream:
        try:
            with _open(stream) as image:
                _check(image)
        except UNREADABLE as error:
            return _said(error)
    return None


def _said(error: BaseException) -> str:
    """Return an error's words in one line."""
    return " ".join(str(error).split())


def _open(stream: IO[bytes]) -> Image.Image:
    """Open an image of a known format, without what Pillow says of decoders that it lacks."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return Image.open(stream, formats=FORMATS)
    except UnidentifiedImageError:
        known = ", ".join(FORMATS)
        raise ValueError(f"no image of 1, 3 or 4 channels as {known}") from None


def _check(image: Image.Image) -> bool:
    """Return whether an image has 16 bits a channel; of more, or of real numbers, raise."""
    wide = image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG")
    if not wide and image.mode.startswith(("I", "F")):
        raise ValueError(f"pixels of mode {image.mode}, expected 8 or 16 bits a channel")
    return wide


def _rgb(data: bytes) -> tuple[Image.Image, bool]:
    """Decode an image whole, in 8 bits a channel; and whether it had 16.

    The orientation in EXIF is not applied, as torchvision's ImageFolder, with which the published
    weights were trained, does not apply it. Of several frames the first is taken.
    """
    with _open(io.BytesIO(data)) as image:
        wide = _check(image)
        if wide:  # Pillow would clip these to 8 bits
            image.load()
            values = np.rint(np.asarray(image, dtype=np.float64) / WIDE).astype(np.uint8)
            return Image.fromarray(values).convert("RGB"), True
        return image.convert("RGB"), False  # this loads; an image that is cut off fails here
