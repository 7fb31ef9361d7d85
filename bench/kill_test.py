"""Kill the service's processes at random while it splits songs, and prove that nothing is lost.

While short songs are split by the demo model, the API process and the workers are killed with
SIGKILL again and again and restarted; one worker is stopped with SIGSTOP instead, and the others
must kill it. At the end every split must have succeeded with whole stems
or failed with its refund, be charged at most once, and have sent its webhook; the ledger must add
up. Needs the test dependencies (`make test` installs them), and nothing else runs meanwhile.

    python bench/kill_test.py                       # on SQLite, then on Postgres
    python bench/kill_test.py --database postgres --splits 60 --kills 20 --workers 3 --seed 7
"""

# ruff: noqa: E402  # the tests' folder has to be on the path first

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

sys.path[:0] = [str(Path(__file__).parents[1] / "server" / "tests")]

import databases
import killing
import postgres
from aistemsplitter_server.kit import secrets
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.settings import Settings
from customers import customer
from processes import running


def main() -> None:
    """Run the test, print the figures, and exit with 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--database", choices=["sqlite", "postgres"], action="append")
    parser.add_argument("--splits", type=int, default=60)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--patience", type=float, default=400, help="time limit in seconds")
    parser.add_argument("--keep", action="store_true", help="leave the data folder with its logs")
    options = parser.parse_args()
    wrong = False
    for kind in options.database or ["sqlite", "postgres"]:
        wrong |= bool(one(kind, options))
    raise SystemExit(wrong)


def one(kind: str, options: argparse.Namespace) -> list[str]:
    """Run the test on one kind of database and return the faults."""
    with ExitStack() as stack:
        folder = Path(mkdtemp())
        if not options.keep:
            stack.callback(rmtree, folder)
        data = folder / "data"
        data.mkdir()
        if kind == "sqlite":
            url = f"sqlite:///{data / 'service.db'}"
        else:
            url = stack.enter_context(postgres.running(durable=True)).url("postgres")
        databases.migrate_up(url)
        settings = Settings(data=data, database_url=url)
        database = Database(url)
        stack.callback(database.close)
        someone = customer(database, secrets.load(data), seconds=100_000)
        service = stack.enter_context(running(settings))
        report = killing.run(
            service,
            someone,
            splits=options.splits,
            kills=options.kills,
            workers=options.workers,
            stops=True,
            seed=options.seed,
            patience=options.patience,
            log=lambda line: print(line, flush=True),
        )
        print(
            f"{kind}: {options.splits} splits in {report.seconds:.0f} s with {options.workers}"
            f" workers; killed {dict(report.kills)}; {dict(report.statuses)};"
            f" asked again {report.repeated} times; {report.figures};"
            f" {len(report.faults)} faults"
        )
        for fault in report.faults:
            print("  " + fault)
        if options.keep:
            print(f"  logs: {data}")
        return report.faults


if __name__ == "__main__":
    main()
