"""Texts and YAML that people write: what is taken, and what is refused in a line."""

import pytest

from equitune.io.texts import VALUES, lines_of, parse_yaml, read_text


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["unix", "windows", "old mac"])
def test_lines_end_alike_and_the_byte_order_mark_is_taken_off(tmp_path, end):
    file = tmp_path / "text"
    file.write_bytes(b"\xef\xbb\xbf" + end.join(["é", "b", ""]).encode())
    assert read_text(file) == "é\nb\n"


@pytest.mark.parametrize("text", ["", "a", "a\n", "\n\na\x0bb\u2028c\n \nd"])
def test_lines_are_those_of_a_file_one_at_a_time(text):
    lines = [*lines_of(text)]
    assert "".join(lines) == text
    assert [line for each in lines for line in each.splitlines()] == text.splitlines()
    assert all("\n" not in line[:-1] for line in lines)


def test_bytes_that_are_not_utf8_are_named_with_their_line(tmp_path):
    file = tmp_path / "text"
    file.write_bytes(b"a\nb\xe9\n")
    with pytest.raises(ValueError, match=r"text, line 2: byte 0xe9 is not UTF-8: save the file as"):
        read_text(file)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: [1, 2.5, no]", {"a": [1, 2.5, False]}),
        ('{"a": null}', {"a": None}),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("", None),
    ],
    ids=["yaml", "json", "alias", "empty"],
)
def test_plain_values_are_taken(text, value):
    assert parse_yaml(text, "f") == value


ALIASES = "\n".join(
    ["a: &a0 [x]", *(f"b{n}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]" for n in range(9))]
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: 1\na: 2", "line 2: the key 'a' stands twice: keep one"),
        ("a: !!python/object:os.system x", "is not read: write plain values"),
        ("? [1]\n: 2", "a key is a list or a mapping: write a name"),
        ("a: &x [*x]", r"\*x stands inside what it stands for"),
        (ALIASES, f"more than {VALUES} values, aliases written out"),
        ("[" * 5000, "brackets are nested too deep"),
        ("a: 2024-13-01", "month must be in 1..12"),
        ("a: [1", "line 1: "),
    ],
    ids=["twice", "tag", "key", "circle", "bomb", "deep", "date", "open"],
)
def test_what_yaml_would_take_otherwise_is_refused_in_a_line(text, reason):
    with pytest.raises(ValueError, match=f"^file is not YAML: .*{reason}") as caught:
        parse_yaml(text, "file")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"PK\x03\x04\x00\x80", b"\x89PNG\x00"], ids=["pth", "png"])
def test_a_file_that_is_no_text_is_called_so(tmp_path, content):
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.pth is not a text file: name a file of text"):
        read_text(tmp_path / "x.pth")


def test_utf_16_is_told_to_be_saved_as_utf_8(tmp_path):
    (tmp_path / "x.txt").write_text("text", encoding="utf-16")
    with pytest.raises(ValueError, match="is not UTF-8: save the file as UTF-8"):
        read_text(tmp_path / "x.txt")
