"""Models of the Hugging Face hub, whole and of one pinned commit, in a folder; loads none."""

from __future__ import annotations

import logging
import os
import re
import shutil
from pathlib import Path

from equitune.files import sha256
from equitune.manifests import write_manifest
from equitune.names import show
from equitune.retrieve import RetrievalError

logger = logging.getLogger(__name__)

# no pickle: *.bin is left where it is
FILES = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.txt", "*.model"]
HUB_ID = re.compile(r"([A-Za-z0-9_-][A-Za-z0-9_.-]*/)?[A-Za-z0-9_-][A-Za-z0-9_.-]*")
SKIPPED = ["onnx/*", "openvino/*", "*/*"]


def fetch(location: str, revision: str, manifest: Path, mirror: str | None = None) -> None:
    """Bring a model's files into the folder of its manifest.

    Args:
        location: id on the hub, "openai-community/gpt2".
        revision: the commit, 40 hexadecimal digits.
        manifest: written last, with the checksums of all files; the files stand beside it.
        mirror: folder that is looked in first, under hub/<id>; a URL is for single files only.

    Raises:
        ValueError: the location is no id of the hub.
        RetrievalError: the model has no safetensors, or cannot be had; of a download that broke
            off what is there is kept, to be taken up again.
    """
    if not HUB_ID.fullmatch(location):  # a name that becomes a path
        raise ValueError(f"{show(location)} is no id of the hub: expected owner/name")
    folder = manifest.parent
    part = folder.with_name(f".{folder.name}.part")
    part.mkdir(parents=True, exist_ok=True)
    copy = (
        None if mirror is None or "://" in mirror else Path(mirror).expanduser() / "hub" / location
    )
    if copy is not None and copy.is_dir():
        shutil.copytree(copy, part, dirs_exist_ok=True)  # as it is: nothing pins a folder
    else:
        _download(location, revision, part, copy)
    shutil.rmtree(part / ".cache", ignore_errors=True)  # the hub's notes on what it has brought
    if not any(part.glob("*.safetensors")):
        shutil.rmtree(part)  # another revision must not be mixed with it
        raise RetrievalError(
            f"{location} has no *.safetensors: choose a revision that has; pickles are not loaded"
        )
    if folder.exists():
        shutil.rmtree(folder)
    os.replace(part, folder)
    checksums = {file.name: sha256(file) for file in sorted(folder.iterdir()) if file.is_file()}
    write_manifest(manifest, {"location": location, "revision": revision}, checksums)


def _download(location: str, revision: str, part: Path, copy: Path | None) -> None:
    from huggingface_hub import snapshot_download

    try:
        snapshot_download(
            location,
            revision=revision,
            local_dir=part,
            allow_patterns=FILES,
            ignore_patterns=SKIPPED,
        )
    except Exception as error:  # the hub's, the network's and the disk's own kinds
        reason = " ".join(str(error).split())[:200]
        place = copy or Path("hub") / location
        raise RetrievalError(
            f"{location} at {revision}: {reason}: check the network, or put its files into {place} "
            "and name that mirror (retrieve.mirror)"
        ) from error
