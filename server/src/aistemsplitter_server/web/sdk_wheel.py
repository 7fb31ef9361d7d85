"""``/sdk/...whl``: the wheel of the Python SDK that matches this service, for ``pip install URL``.

A built server package contains the wheel (``hatch_build.py`` puts it there). In a development
checkout, whose packages are installed in place, it is made of the installed SDK at first use.
"""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import metadata, resources
from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter, Response

from aistemsplitter_server.kit.errors import NotFound

router = APIRouter()

PREFIX = "/sdk"
NAME = "aistemsplitter"
TAG = "py3-none-any"
WHEEL = f"Wheel-Version: 1.0\nGenerator: {NAME}-server\nRoot-Is-Purelib: true\nTag: {TAG}\n"
# Of the installed metadata, what is part of a wheel; the rest describes the installation.
IN_WHEELS = ("METADATA", "entry_points.txt", "licenses/")


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel file, under 100 kB."""

    filename: str
    content: bytes


@router.get(PREFIX + "/{filename}")
def sdk_wheel(filename: str) -> Response:
    """Return the wheel; anyone may fetch it."""
    found = wheel()
    if found is None or filename != found.filename:
        raise NotFound
    headers = {"Cache-Control": "no-cache"}
    return Response(found.content, media_type="application/octet-stream", headers=headers)


def install_command(base_url: str) -> str:
    """Return the command that installs the SDK from the service under this base URL."""
    found = wheel()
    if found is None:  # a checkout whose SDK is not installed
        return "pip install ./sdk"
    return f"pip install {base_url}{PREFIX}/{found.filename}"


@cache
def wheel() -> Wheel | None:
    """Return the SDK's wheel, None in a checkout whose SDK is not installed."""
    folder = resources.files("aistemsplitter_server").joinpath("sdk")
    if folder.is_dir():
        for entry in folder.iterdir():
            if entry.name.endswith(".whl"):
                return Wheel(entry.name, entry.read_bytes())
    try:
        return _pack(metadata.distribution(NAME))
    except metadata.PackageNotFoundError:
        return None


def _pack(distribution: metadata.Distribution) -> Wheel:
    """Make a wheel of an installed distribution; the same files give the same bytes."""
    release = f"{NAME}-{distribution.version}"
    members = dict(sorted(_members(distribution, f"{release}.dist-info")))
    members[f"{release}.dist-info/WHEEL"] = WHEEL.encode()
    record = f"{release}.dist-info/RECORD"
    lines = [f"{name},{_digest(content)},{len(content)}" for name, content in members.items()]
    members[record] = "\n".join([*lines, f"{record},,", ""]).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            member = zipfile.ZipInfo(name)
            member.external_attr = 0o100644 << 16
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, content)
    return Wheel(f"{release}-{TAG}.whl", buffer.getvalue())


def _members(distribution: metadata.Distribution, info: str) -> Iterator[tuple[str, bytes]]:
    spec = find_spec(NAME)
    if spec is None or not spec.submodule_search_locations:
        raise metadata.PackageNotFoundError(NAME)
    package = Path(spec.submodule_search_locations[0])
    for path in package.rglob("*"):
        name = path.relative_to(package)
        if path.is_file() and "__pycache__" not in name.parts:
            yield f"{NAME}/{name.as_posix()}", path.read_bytes()
    for installed in distribution.files or ():
        entry = installed.as_posix().partition(".dist-info/")[2]
        if entry.startswith(IN_WHEELS):
            yield f"{info}/{entry}", installed.read_binary()


def _digest(content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest())
    return f"sha256={digest.rstrip(b'=').decode()}"
