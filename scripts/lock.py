"""Pin the versions of a deployment: ``make lock``.

Writes the installed versions of all that the engine and the server need, without extras, to
``server/deploy/constraints.txt``, so that two installations of one version are the same.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CONSTRAINTS = Path(__file__).parents[1] / "server/deploy/constraints.txt"
PACKAGES = ("aistemsplitter-engine", "aistemsplitter-server")
HEAD = "# Versions that this release was tested with; `make lock` writes this file.\n"


def main() -> None:
    """Write the file."""
    lines = [f"{name}=={metadata.version(name)}\n" for name in sorted(needed())]
    CONSTRAINTS.write_text(HEAD + "".join(lines))


def needed() -> set[str]:
    """Return the names of all packages that ours need, without ours."""
    found: set[str] = set()
    pending = [(name, "") for name in PACKAGES]
    done: set[tuple[str, str]] = set()
    while pending:
        name, extra = pending.pop()
        if (name, extra) in done:
            continue
        done.add((name, extra))
        if name not in PACKAGES:
            found.add(name)
        for line in metadata.requires(name) or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                inner = canonicalize_name(requirement.name)
                pending += [(inner, each) for each in ("", *requirement.extras)]
    return found


if __name__ == "__main__":
    main()
