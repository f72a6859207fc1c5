"""Valid files made malformed: their structure, then their bytes."""

import copy
import json

import yaml
from hypothesis import strategies as st

LONG = 20_000  # letters of a line that nobody writes
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join(f'*{old}' for _ in range(10))}]\n"
    for old, new in zip("abcde", "bcdef", strict=True)
)
ODD = [
    None, True, False, -1, 0, 1, 2.5, 10**30, -(10**30), 1e308, float("nan"), float("inf"),
    "", " ", "no", "None", "0x10", "é", "wаlk", "ｗalk", "a\u2028b", "a\nb", "a\x00b", "a\x85b",
    "\ud800", "../../up", "$(touch owned)", "`touch owned`", "'; touch owned; '", "{x}", "%s",
    "x" * LONG, "9" * 5000, [], [[]], [None], {}, {"": None}, {"x": {"y": [1]}}, ["x"] * 50,
]  # fmt: skip
PIECES = [
    b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\xd0\xb0", b"\xed\xa0\x80", b"\r", b"\t",
    b"\n", b"\n\n", b" ", b":", b"-", b"? ", b"#", b"{", b"}", b"[", b"]", b"'", b'"', b",", b"\\",
    b"!!python/object/apply:os.system [touch owned]", b"!!binary x", b"!!int ''", b"!x y", b"&a ",
    b"*a", b"&a [*a]", b"<<: *a\n", b"<<: [1]\n", b"= \n", b"--- x\n...\n", b"%YAML 9.9\n", b"|\n",
    b"2024-13-01", b"0x" + b"f" * 6000, b"9" * 6000, b"9:" * 200 + b"9.0", b".nan", b"NaN",
    b"[" * 3000, b"{a: " * 3000, b'{"a":' * 3000, b"x" * LONG, b"word " * (LONG // 5), b"." * LONG,
    b"1e999", b"IN: ", b"OUT: ", b"I_WALK ", b"\\ud800", BOMB.encode(),
]  # fmt: skip


def places(tree, path=()):
    """The paths of all values inside nested dictionaries and lists."""
    keys = tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    for key in keys:
        yield (*path, key)
        yield from places(tree[key], (*path, key))


@st.composite
def broken_trees(draw, tree):
    """Plain data with one to three of its keys or values changed."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.integers(1, 3))):
        known = list(places(tree))
        if not known:
            break
        *way, key = draw(st.sampled_from(known))
        parent = tree
        for step in way:
            parent = parent[step]
        what = draw(st.sampled_from(["drop", "rename", "replace", "replace", "wrap", "repeat"]))
        if what == "drop":
            del parent[key]
        elif what == "rename" and isinstance(parent, dict):
            new = st.sampled_from([f"{key}x", f"{key}"[1:], "é", 1, None, "x" * LONG, "a\nb"])
            parent[draw(new)] = parent.pop(key)
        elif what == "wrap":
            parent[key] = draw(st.sampled_from([[parent[key]], {"x": parent[key]}]))
        elif what == "repeat" and isinstance(parent, list):
            parent.append(parent[key])
        else:
            parent[key] = copy.deepcopy(draw(st.sampled_from(ODD)))
    return tree


@st.composite
def broken_bytes(draw, content):
    """A file's content with one to three changes of its bytes."""
    for _ in range(draw(st.integers(1, 3))):
        at, end = sorted(draw(st.lists(st.integers(0, len(content)), min_size=2, max_size=2)))
        what = draw(
            st.sampled_from(["put", "put", "put", "cut", "end", "twice", "crlf", "encode", "noise"])
        )
        if what == "put":
            content = content[:at] + draw(st.sampled_from(PIECES)) + content[at:]
        elif what == "cut":
            content = content[:at] + content[end:]
        elif what == "end":
            content = content[:at]
        elif what == "twice":
            content = content[:end] + content[at:]
        elif what == "crlf":
            content = content.replace(b"\n", draw(st.sampled_from([b"\r\n", b"\r", b"\n\n", b" "])))
        elif what == "encode":
            codec = draw(st.sampled_from(["utf-16", "utf-32", "latin-1", "utf-7"]))
            content = content.decode("utf-8", "replace").encode(codec, "replace")
        else:
            content = content[:at] + draw(st.binary(max_size=20)) + content[end:]
    return content


def dumped(trees, write):
    """Broken trees as the bytes of a file."""
    return trees.map(lambda tree: write(tree).encode("utf-8", "surrogatepass"))


def broken_yaml(tree):
    """Malformed YAML and JSON that began as a tree."""
    text = yaml.safe_dump(tree, sort_keys=False).encode()
    return st.one_of(
        dumped(broken_trees(tree), lambda found: yaml.safe_dump(found, sort_keys=False)),
        dumped(broken_trees(tree), lambda found: yaml.safe_dump(found, default_flow_style=True)),
        broken_bytes(text),
    )


def broken_jsonl(rows):
    """Malformed lines of JSON that began as a list of dictionaries."""

    def write(found):
        return "".join(f"{json.dumps(row)}\n" for row in found)

    return st.one_of(dumped(broken_trees(rows), write), broken_bytes(write(rows).encode()))
