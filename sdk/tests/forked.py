"""Create splits in processes forked from one whose client already has open connections.

Reads a plan from its standard input; every child writes the results of its splits to a file.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from aistemsplitter import AiStemSplitter, AiStemSplitterError, Timeouts


def main() -> None:
    """Fork one process for each list of splits, and wait for them."""
    plan = json.load(sys.stdin)
    options = {"base_url": plan["url"], "max_retries": 6, "timeout": Timeouts(**plan["timeouts"])}
    client = AiStemSplitter(plan["key"], **options)
    with suppress(AiStemSplitterError):  # the proxy misbehaves from the first request on
        client.get_credits()
    children = []
    for index, splits in enumerate(plan["children"]):
        child = os.fork()
        if not child:
            status = 1
            try:
                results = [_split(client, asked, Path(plan["out"])) for asked in splits]
                Path(plan["out"], f"forked{index}.json").write_text(json.dumps(results))
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    sys.exit(any(os.waitpid(child, 0)[1] for child in children))


def _split(client: AiStemSplitter, asked: dict[str, Any], out: Path) -> dict[str, Any]:
    number = asked["metadata"]["number"]
    outcome: dict[str, Any] = {"number": number, "split_id": None, "error": None}
    try:
        job = client.create_split(**asked)
        result = client.wait_for_split(job.id, timeout=300)
        outcome["split_id"] = result.id
        client.download_split(result, out / number)
    except AiStemSplitterError as error:
        outcome["error"] = type(error).__name__
    return outcome


if __name__ == "__main__":
    main()
