"""Models of the Hugging Face hub, whole and of one pinned commit, in a folder; loads none.

In a mirror a model stands under hub/<id>, beside the manifest that names its commit and checksums.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from equitune.compat import extra
from equitune.io.downloads import PassingError
from equitune.io.files import atomic_write, sha256
from equitune.io.names import show
from equitune.io.registry import Source, sources
from equitune.io.retrieve import RetrievalError, retrieve, store
from equitune.run.manifests import write_manifest

if TYPE_CHECKING:
    from huggingface_hub import RepoFile

logger = logging.getLogger(__name__)

# no pickle and no code: *.bin and *.py are left where they are
FILES = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.txt", "*.model"]
HUB_ID = re.compile(r"([A-Za-z0-9_-][A-Za-z0-9_.-]*/)?[A-Za-z0-9_-][A-Za-z0-9_.-]*")
SKIPPED = ["onnx/*", "openvino/*", "*/*"]
MANIFEST = "manifest.json"


def fetch(location: str, revision: str, manifest: Path, mirror: str | None = None) -> None:
    """Bring a model's files into the folder of its manifest, each checked.

    Checksums are those of the registry, else those of the mirror's manifest, else the hub's own at
    that commit. Only a mirror's folder that somebody filled without a manifest has none.

    Args:
        location: id on the hub, "openai-community/gpt2".
        revision: the commit, 40 hexadecimal digits.
        manifest: written last, with the checksums of all files; the files stand beside it.
        mirror: a folder or an http(s) URL that is looked in first, under hub/<id>.

    Raises:
        ValueError: the location is not an id of the hub.
        RetrievalError: the model has no safetensors, or is not available; of a download that broke
            off what is there is kept, to be taken up again.
    """
    if not HUB_ID.fullmatch(location):  # a name that becomes a path
        raise ValueError(f"{show(location)} is not an id of the hub: expected owner/name")
    folder = manifest.parent
    part = folder.with_name(f".{folder.name}.{revision[:12]}.part")
    part.mkdir(parents=True, exist_ok=True)
    rows = _registered(location, revision) or _mirrored(location, revision, mirror)
    for row in rows:
        name = Path(row.mirror).name
        retrieve(replace(row, url=_address(location, revision, name)), part / name, mirror)
    if not rows:
        _download(location, revision, part, mirror)
    if not any(part.glob("*.safetensors")):
        shutil.rmtree(part)
        raise RetrievalError(
            f"{location} has no *.safetensors: choose a revision that has; pickles are not loaded"
        )
    if folder.exists():
        shutil.rmtree(folder)
    os.replace(part, folder)
    checksums = {file.name: sha256(file) for file in sorted(folder.iterdir()) if file.is_file()}
    write_manifest(manifest, {"location": location, "revision": revision}, checksums)


def export(manifest: Path, mirror: Path) -> list[Path]:
    """Copy a model that was fetched into a mirror, each file checked, the manifest last.

    Returns:
        The files in the mirror.

    Raises:
        RetrievalError: a file is not the one that was fetched.
        ValueError: the manifest is not one of a model.
    """
    location, _, checksums = _read(manifest)
    there = mirror / "hub" / location / MANIFEST
    there.unlink(missing_ok=True)  # it may be of another commit, whose files are replaced
    copied = [
        store(row, manifest.parent / Path(row.mirror).name, mirror)
        for row in _rows(location, checksums)
    ]
    with atomic_write(there) as temporary:
        shutil.copyfile(manifest, temporary)
    return [*copied, there]


def _registered(location: str, revision: str) -> list[Source]:
    """Return the files of a model whose checksums the registry has."""
    return [
        row
        for row in sources().values()
        if Path(row.mirror).parent == Path("hub", location) and row.version == revision
    ]


def _mirrored(location: str, revision: str, mirror: str | None) -> list[Source]:
    """Return the files of a model that a mirror has, none where it has not this commit."""
    if not mirror:
        return []
    with tempfile.TemporaryDirectory() as temporary:
        try:
            manifest = retrieve(
                _row(location, MANIFEST, ""), Path(temporary) / MANIFEST, mirror, attempts=2
            )
        except RetrievalError:
            return _as_they_are(location, Path(mirror).expanduser() / "hub" / location)
        _, found, checksums = _read(manifest)
    if found != revision:
        logger.warning("the mirror has %s at %s, not at %s", location, found, revision)
        return []
    return _rows(location, checksums)


def _as_they_are(location: str, folder: Path) -> list[Source]:
    """Return the files of a folder that somebody filled by hand, none where there is none."""
    found = sorted(file.name for file in folder.iterdir()) if folder.is_dir() else []
    names = [name for name in found if any(fnmatch(name, pattern) for pattern in FILES)]
    if names:
        logger.warning("%s has no %s: its files are taken as they are", folder, MANIFEST)
    return [_row(location, name, "") for name in names]


def _read(manifest: Path) -> tuple[str, str, dict[str, str]]:
    """Return the id, the commit and the checksums of the files that a manifest names."""
    try:
        facts = json.loads(manifest.read_text(encoding="utf-8"))
        about, checksums = facts["configuration"], dict(facts["inputs"])
        for name, digest in checksums.items():
            if Path(name).name != name or not re.fullmatch("[0-9a-f]{64}", digest):
                raise ValueError(f"{name!r}: {digest!r}")
        return str(about["location"]), str(about["revision"]), checksums
    except (ValueError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{manifest.name} beside a model of the hub cannot be read ({reason}): fetch the model "
            "again"
        ) from error


def _rows(location: str, checksums: Mapping[str, str]) -> list[Source]:
    return [_row(location, name, digest) for name, digest in checksums.items()]


def _row(location: str, name: str, digest: str) -> Source:
    """Return what the registry would have about a file; without a checksum it is taken as it is."""
    return Source(
        name=f"{location}/{name}",
        version="",
        url="",
        mirror=f"hub/{location}/{name}",
        sha256=digest,
        sorted_sha256="",
        bytes=0,
        licence="",
        citation="",
    )


def _address(location: str, revision: str, name: str) -> str:
    """Return a file's address on the hub, or on the server that HF_ENDPOINT names."""
    with extra("language"):
        from huggingface_hub import hf_hub_url

    return hf_hub_url(location, name, revision=revision)


def _download(location: str, revision: str, part: Path, mirror: str | None) -> None:
    """Bring all files from the hub, and compare them with its own checksums at the commit."""
    with extra("language"):
        from huggingface_hub import HfApi, RepoFile, snapshot_download
        from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        snapshot_download(
            location,
            revision=revision,
            local_dir=part,
            allow_patterns=FILES,
            ignore_patterns=SKIPPED,
        )
        names = [file.name for file in part.iterdir() if file.is_file()]
        known = HfApi().get_paths_info(location, names, revision=revision)
    except Exception as error:  # the hub's, the network's and the disk's own kinds
        reason = " ".join(str(error).split())[:200]
        place = f"{mirror.rstrip('/')}/hub/{location}" if mirror else f"hub/{location}"
        # a name or commit that the hub does not know stays unknown; all else may pass
        unknown = isinstance(error, RepositoryNotFoundError | RevisionNotFoundError)
        kind = RetrievalError if unknown else PassingError
        raise kind(
            f"{location} at {revision}: {reason}: check the network, or put its files into {place} "
            "and name that mirror (retrieve.mirror)"
        ) from error
    shutil.rmtree(part / ".cache", ignore_errors=True)  # the hub's notes on what it has brought
    checked = {entry.path for entry in known if isinstance(entry, RepoFile) and _same(entry, part)}
    if wrong := sorted({*names} - checked):
        shutil.rmtree(part)
        raise PassingError(
            f"{location} at {revision}: {', '.join(wrong)} arrived with another checksum than the "
            "hub's: try again"
        )


def _same(entry: RepoFile, part: Path) -> bool:
    """Return whether a file has the hub's checksum: of its bytes if it is large, else git's."""
    file = part / entry.path
    if entry.lfs is not None:
        return sha256(file) == entry.lfs.sha256
    data = file.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest() == entry.blob_id
