"""Files that no rule makes have a hash that changes with them."""

import os

from equitune.plan.fingerprint import of_place, of_texts


def fresh(place):
    of_place.cache_clear()  # one process, one look
    return of_place(str(place))


def test_a_folder_changes_with_each_of_its_files(tmp_path):
    folder = tmp_path / "images"
    (folder / "a").mkdir(parents=True)
    file = folder / "a/1.png"
    file.write_bytes(b"123")
    first = fresh(folder)
    assert fresh(folder) == first
    os.utime(file, ns=(1, 1))
    second = fresh(folder)
    file.rename(folder / "a/2.png")
    third = fresh(folder)
    (folder / "3.png").write_bytes(b"")
    assert len({first, second, third, fresh(folder), fresh(tmp_path / "none")}) == 5
    assert fresh(folder / "a/2.png") != fresh(folder)


def test_a_text_changes_with_its_content_alone(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("a")
    other.write_text("a")
    assert of_texts([one]) == of_texts([other])
    os.utime(one, ns=(1, 1))
    assert of_texts([one]) == of_texts([other])
    other.write_text("b")
    assert of_texts([one]) != of_texts([other])
    assert of_texts([one]) != of_texts([tmp_path / "none"])
