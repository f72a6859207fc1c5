"""Folders of small pictures, and what is read of them."""

import io
import re

import pytest
from PIL import Image

from equitune.image import sources


def picture(value=0, shape=(12, 16), form="JPEG", mode="RGB", **settings):
    """A picture (height, width) of one grey value, as the bytes of a file."""
    buffer = io.BytesIO()
    Image.new(mode, shape[::-1], value if mode == "L" else (value,) * 3).save(
        buffer, form, **settings
    )
    return buffer.getvalue()


def write(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def tree(parts=("train", "val"), classes=("cat", "dog"), count=2):
    """Names to pictures, each of a grey of its own: 0, 10, 20, …, in sorted order."""
    names = [f"{p}/{c}/{i}.jpg" for p in parts for c in classes for i in range(count)]
    return {name.lstrip("/"): picture(10 * place) for place, name in enumerate(names)}


def read(location, size=8, crop="center", broken="refuse", seed=0):
    return sources.read_folder(location, size, crop, broken, seed)


def greys(images):
    return [round(x / 10) for x in images.pixels.float().mean((1, 2, 3)).tolist()]


def refused(location, **settings):
    with pytest.raises(ValueError, match=re.escape(str(location))) as error:
        read(location, **settings)
    assert "\n" not in str(error.value)
    return str(error.value)
