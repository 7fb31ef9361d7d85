"""Run a thousand randomised splits against the real service through a faulty proxy.

The proxy runs on loopback between the clients and the service, for API and storage alike. It
disturbs a fifth of the requests: it refuses, resets or stalls the connection; answers with 429, 500
or 503, or with a Retry-After of a day; sends the response byte by byte, cuts it short or changes a
byte; ignores Range, redirects to another host, or declares the URL expired. It holds progress
streams back until their end. Forked processes that share one client make a tenth of the splits.
A split ends right if each stem equals, byte for byte, what the song gives without disturbances.
Failed downloads are repeated at the end.

    python bench/chaos.py
    python bench/chaos.py --splits 100 --seed 7
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "sdk" / "tests"))  # where the short run is a test
sys.path.append(str(Path(__file__).parents[1] / "server" / "tests"))

import randomised


def main() -> None:
    """Run the splits and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--splits", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcome = randomised.run(Path(folder), splits=options.splits, seed=options.seed)
    print(f"{options.splits} splits in {outcome.seconds:.0f} s, seed {options.seed}")
    print(f"{outcome.requests} requests, {outcome.faults.total()} of them disturbed:")
    for kind, count in outcome.faults.most_common():
        print(f"  {kind.replace('_', ' ')}: {count}")
    print(f"right stems: {outcome.right}")
    for name, count in outcome.errors.most_common():
        print(f"one {name}: {count}")
    print(f"splits made by the service: {outcome.made}, of them twice: {len(outcome.twice)}")
    print(f"secrets seen by the other host: {len(outcome.leaked)}")
    print(f"failed downloads, resumed at the end: {len(outcome.unfinished)}")
    print(f"partial files left: {len(outcome.temporary)}")
    print(f"anything else: {len(outcome.wrong)} {outcome.wrong[:3] or ''}")
    sys.exit(bool(outcome.wrong or outcome.twice or outcome.leaked or outcome.temporary))


if __name__ == "__main__":
    main()
