"""Pictures become tensors: their size, colours and formats, and what is broken or none."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from small_pictures import greys, picture, read, refused, tree, write

from equitune.actions import Rotate90
from equitune.config import ImageSource
from equitune.image import decoding, sources
from equitune.image.data import transform


def test_the_shorter_side_is_resized_and_the_middle_cut(tmp_path):
    pixels = np.zeros((20, 40, 3), dtype=np.uint8)
    pixels[:, 10:30] = 200  # the middle square
    for name in tree():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / name, "PNG")
    train, _, _ = read(tmp_path, size=20)
    assert train.pixels.unique().tolist() == [200]
    whole, _, _ = read(tmp_path, size=20, crop="none")
    assert torch.equal(whole.pixels[0], torch.from_numpy(pixels).permute(2, 0, 1))
    assert read(tmp_path, size=10, crop="none")[0].pixels.shape == (4, 3, 10, 20)
    turned, _, _ = read(write(tmp_path, {name: picture(9, (40, 20)) for name in tree()}), size=10)
    assert turned.pixels.shape == (4, 3, 10, 10)


def test_photographs_are_resized_by_the_shorter_side_cropped_and_then_turned(tmp_path):
    """As for the published weights: nothing is squashed, and a turn is one of the crop's pixels."""
    generator, size = np.random.default_rng(0), 16
    shapes = ((37, 50), (50, 37), (41, 41), (16, 29))  # height, width
    for name, shape in zip(sorted(tree()), 2 * shapes, strict=True):
        photograph = generator.integers(0, 256, (*shape, 3), dtype=np.uint8)
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photograph).save((tmp_path / name).with_suffix(".png"))
    expected = []
    for path in sorted(tmp_path.glob("val/*/*.png")):
        image = Image.open(path)
        width, height = image.size
        short = min(width, height)
        image = image.resize((size * width // short, size * height // short), Image.BILINEAR)
        left, top = round((image.width - size) / 2), round((image.height - size) / 2)
        image = image.crop((left, top, left + size, top + size))
        expected.append([[image.getpixel((x, y)) for x in range(size)] for y in range(size)])
    _, test, _ = read(tmp_path, size=size)
    crops = torch.tensor(expected, dtype=torch.uint8).permute(0, 3, 1, 2)
    assert torch.equal(test.pixels, crops)
    moved, turns = transform(test, Rotate90(), 0)
    last = size - 1
    for image, crop, turn in zip(moved.pixels, crops, turns.tolist(), strict=True):
        turned = crop
        for _ in range(turn):  # counterclockwise: what was right is above
            rows = [[turned[:, x, last - y] for x in range(size)] for y in range(size)]
            turned = torch.stack([torch.stack(row, 1) for row in rows], 1)
        assert torch.equal(image, turned)


def test_whole_images_must_have_one_shape(tmp_path):
    write(tmp_path, {**tree(), "val/dog/1.jpg": picture(0, (12, 20))})
    message = refused(tmp_path, crop="none")
    assert "train/cat/0.jpg comes out as (3, 8, 10) and" in message
    assert "val/dog/1.jpg as (3, 8, 13)" in message
    assert message.endswith("set image.sources.<dataset>.crop: center")
    assert len(read(tmp_path)[1]) == 4


def test_every_kind_of_picture_becomes_rgb(tmp_path):
    turned = Image.Exif()
    turned[0x112] = 6  # orientation: a quarter turn, which is not applied
    kinds = {
        "grey.png": picture(70, form="PNG", mode="L"),
        "colour.png": picture(70, form="PNG"),
        "turned.jpg": picture(70, exif=turned),
        "progressive.jpeg": picture(70, progressive=True),
    }
    names = [f"{part}/{name}/" for part in ("train", "test") for name in ("a", "b")]
    write(tmp_path, {place + name: x for place in names for name, x in kinds.items()})
    train, test, _ = read(tmp_path, crop="none")
    assert train.pixels.shape == test.pixels.shape == (8, 3, 8, 10)
    assert greys(train) == [7] * 8


def test_what_is_no_image_is_named_before_anything_is_decoded(tmp_path, caplog, monkeypatch):
    real = io.BytesIO()
    Image.fromarray(np.full((12, 16), 0.5, dtype=np.float32)).save(real, "TIFF")
    broken = {
        "train/cat/array.npy": b"\x93NUMPY",
        "train/cat/empty.jpg": b"",
        "train/cat/head.jpg": picture()[:20],
        "train/cat/real.tiff": real.getvalue(),
        "train/dog/film.mp4": b"a film",
        "train/dog/text.jpg": b"a text",
    }
    write(tmp_path, {**tree(), **broken})
    monkeypatch.setattr(decoding, "prepare", lambda *_: pytest.fail("an image was decoded"))
    message = refused(tmp_path)
    assert message.startswith("6 of 14 files cannot be decoded: ")
    assert message.endswith(", …: remove them, or set image.sources.<dataset>.broken: skip")
    assert [name in message for name in broken] == [True] * 5 + [False]
    assert "no image of 1, 3 or 4 channels as JPEG, PNG, WEBP" in message
    assert "pixels of mode F, expected 8 or 16 bits a channel" in message
    assert not caplog.records
    source = ImageSource(kind="folder", size=8, location=str(tmp_path))
    with pytest.raises(ValueError, match=r"set image\.sources\.mine\.broken: skip"):
        sources.read_source(source, None, 0, "mine")


def test_images_that_are_cut_off_are_refused_or_skipped(tmp_path, caplog):
    noise = Image.effect_noise((60, 60), 90)
    whole = {form: io.BytesIO() for form in ("JPEG", "PNG")}
    for form, buffer in whole.items():
        noise.save(buffer, form)
    broken = {
        "train/cat/cut.jpg": whole["JPEG"].getvalue()[:-900],
        "train/cat/cut.png": whole["PNG"].getvalue()[:-900],
        "train/dog/empty.jpg": b"",
    }
    write(tmp_path, {**tree(), **dict(list(broken.items())[:2])})
    assert refused(tmp_path).startswith("2 of 10 files cannot be decoded: ")
    write(tmp_path, broken)
    train, test, _ = read(tmp_path, broken="skip")
    assert (greys(train), greys(test)) == ([0, 1, 2, 3], [4, 5, 6, 7])
    assert train.labels.tolist() == [0, 0, 1, 1]
    assert len(caplog.records) == 3
    for name, record in zip(broken, caplog.records, strict=True):
        assert name in record.message
        assert record.levelname == "WARNING"


def test_what_lies_beside_images_is_left_out_with_a_count(tmp_path, caplog):
    junk = ["Thumbs.db", "desktop.ini", "labels.CSV", "notes.txt"]
    files = {f"{part}/cat/{name}": b"junk" for part in ("train", "val") for name in junk}
    hidden = {"train/cat/.DS_Store": b"junk", "train/dog/._0.jpg": b"junk"}
    write(tmp_path, {**tree(), **files, **hidden})
    train, test, _ = read(tmp_path)
    assert (len(train), len(test)) == (4, 4)
    (said,) = [record.message for record in caplog.records]
    assert said.startswith("8 files are left out, as they are not images: ")
    assert "train/cat/Thumbs.db" in said
    assert said.endswith(", …")


@pytest.mark.parametrize("form", ["WEBP", "BMP", "TIFF", "PPM"])
def test_formats_that_pillow_reads_are_read(tmp_path, form):
    settings = {"lossless": True} if form == "WEBP" else {}
    files = {
        f"{c}/{i}.{form.lower()}": picture(70, form=form, **settings) for c in "ab" for i in "012"
    }
    train, test, _ = read(write(tmp_path, files))
    assert greys(train) + greys(test) == [7] * 6


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_images_of_16_bits_become_8(tmp_path, caplog, form):
    deep = io.BytesIO()
    Image.fromarray(np.full((12, 16), 70 * 257, dtype=np.uint16)).save(deep, form)
    write(tmp_path, {**tree(), f"train/cat/deep.{form.lower()}": deep.getvalue()})
    train, _, _ = read(tmp_path)
    assert greys(train)[:3] == [0, 1, 7]
    assert "1 images of 16 bits a channel: divided by 257, to 8 bits" in caplog.text
