"""Build the packages into dist/: ``make dist``, or one for a release: ``make dist TAG=sdk-v0.2.0``.

A tag names a folder and a version. It must be the version that the package itself states.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGES = ("sdk", "engine", "server")
DIST = Path("dist")


def main(tag: str | None = None) -> None:
    """Build all packages, or the one that a tag names."""
    package, version = parse(tag) if tag else (None, None)
    shutil.rmtree(DIST, ignore_errors=True)
    for name in [package] if package else PACKAGES:
        subprocess.run(["uv", "build", "--quiet", "--out-dir", DIST, name], check=True)
    DIST.joinpath(".gitignore").unlink(missing_ok=True)
    built = sorted(path.name for path in DIST.iterdir())
    if version and any(f"-{version}-" not in f"{name.removesuffix('.tar.gz')}-" for name in built):
        sys.exit(f"{tag}: the package has another version: {', '.join(built)}. Change one of them.")
    print("\n".join(f"dist/{name}" for name in built))


def parse(tag: str) -> tuple[str, str]:
    """Return the folder and the version that a tag names."""
    match = re.fullmatch(r"(\w+)-v([0-9][\w.]*)", tag)
    if match is None or match[1] not in PACKAGES:
        sys.exit(f"{tag}: not a release tag. It looks like sdk-v0.2.0.")
    return match[1], match[2]


if __name__ == "__main__":
    main(*sys.argv[1:])
