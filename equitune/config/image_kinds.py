"""The kinds of sources of images, one record each; without torch, as each start of a run reads it.

The configuration's values and what the plan of a run needs to know of a source come from
`IMAGE_KINDS`. A new kind is a record, and a reader in `READERS` of equitune/image/sources.py.
"""

from dataclasses import dataclass
from typing import Literal

LOCATIONS = {"path": "its path", "name": "its name in the registry"}


@dataclass(frozen=True)
class ImageKind:
    """One kind.

    Attributes:
        about: what it is, for the table of keys and for messages.
        location: what `image.sources.<name>.location` is: "path" on this machine, whose files are
            looked at before the first job and make the dataset anew when they change; "name" of a
            file in resources/sources.csv; None: it has none.
        file: the file in resources/sources.csv that every source of this kind is of, if any.
    """

    about: str
    location: Literal["path", "name"] | None = None
    file: str | None = None

    @property
    def retrieved(self) -> bool:
        """Whether its images come in a file that the workflow retrieves."""
        return self.file is not None or self.location == "name"


IMAGE_KINDS = {
    "digits": ImageKind("embedded"),
    "cifar10": ImageKind("the official archive", file="cifar10"),
    "archive": ImageKind("class folders in a file of resources/sources.csv", "name"),
    "folder": ImageKind("class folders of your own", "path"),
}


def located() -> str:
    """Say what a location is, of each kind that has one."""
    kinds = {
        what: [name for name, kind in IMAGE_KINDS.items() if kind.location == what]
        for what in LOCATIONS
    }
    return "; ".join(f"of kind {', '.join(kinds[what])}: {LOCATIONS[what]}" for what in LOCATIONS)
