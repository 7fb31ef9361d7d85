"""``storage setup`` on a bucket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aistemsplitter_server.cli import checks
from aistemsplitter_server.cli.checks import Finding
from aistemsplitter_server.kit import secrets
from aistemsplitter_server.kit.settings import Settings
from command_line import run

if TYPE_CHECKING:
    from aistemsplitter_server.storage.s3_bucket import Bucket

pytestmark = pytest.mark.skipif(find_spec("boto3") is None, reason="needs boto3")
PAGE = "https://splitter.example"
SITE = {"public_url": PAGE, "cors_origins": "https://shop.example"}


@pytest.fixture
def target(bucket_address: str, tmp_path: Path) -> Iterator[Bucket]:
    """A bucket without rules."""
    from aistemsplitter_server.storage import s3_bucket

    found = s3_bucket.bucket(bucket_address, Settings(data=tmp_path))
    yield found
    found.client.delete_bucket_cors(Bucket=found.name)
    found.client.delete_bucket_lifecycle(Bucket=found.name)
    found.client.close()


def done(target: Bucket, folder: Path, **more: Any) -> dict[str, Finding]:
    """Set the bucket up; return the findings by step."""
    from aistemsplitter_server.cli.bucket_setup import steps

    return {finding.check: finding for finding in steps(target, Settings(data=folder, **more))}


def refuse(target: Bucket, code: str, *operations: str) -> None:
    """Answer these operations with an error."""
    from botocore.exceptions import ClientError

    def answer(**_: object) -> None:
        raise ClientError({"Error": {"Code": code}}, "any")

    for operation in operations:
        setattr(target.client, operation, answer)


def test_all_steps(target: Bucket, tmp_path: Path) -> None:
    found = done(target, tmp_path, public_url=PAGE)
    assert {finding.state for finding in found.values()} == {"ok"}
    assert [*found] == ["permissions", "cors", "lifecycle"]
    assert found["cors"].message == (
        f"scripts of {PAGE} may read presigned URLs, those of {PAGE} may upload"
    )
    assert found["lifecycle"].message == (
        "unfinished uploads are deleted after 8 days, uploaded and fetched songs after 33"
    )
    again = done(target, tmp_path, public_url=PAGE)
    assert again["cors"].message == f"{found['cors'].message} (unchanged)"
    assert again["lifecycle"].message == f"{found['lifecycle'].message} (unchanged)"


def test_no_web_pages(target: Bucket, tmp_path: Path) -> None:
    assert done(target, tmp_path)["cors"] == Finding("cors", "ok", "no rules needed (unchanged)")
    refuse(target, "AccessDenied", "get_bucket_cors")
    assert done(target, tmp_path)["cors"] == Finding("cors", "ok", "no rules needed")


def test_a_missing_permission_of_the_service(
    target: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "no-List")
    failed = run(tmp_path, "storage", "setup")
    assert failed.returncode == 1
    assert (
        f"PROBLEM  permissions      the credentials lack s3:ListBucket on bucket {target.name}"
        in (failed.stdout)
    )
    assert failed.stderr == ""
    for secret in ("no-List", "a-secret-of-the-tests"):
        assert secret not in failed.stdout


@pytest.mark.parametrize(
    ("operation", "code", "said"),
    [
        ("put_bucket_cors", "AccessDenied", "the credentials lack s3:PutBucketCORS on bucket"),
        ("get_bucket_cors", "AccessDenied", "the credentials lack s3:GetBucketCORS on bucket"),
        ("put_bucket_cors", "NotImplemented", "does not offer s3:PutBucketCORS"),
    ],
)
@pytest.mark.parametrize("more", [{"public_url": PAGE}, SITE])
def test_no_cors(
    target: Bucket, tmp_path: Path, operation: str, code: str, said: str, more: dict[str, str]
) -> None:
    """Only pages of other sites need it."""
    refuse(target, code, operation)
    found = done(target, tmp_path, **more)
    assert found["cors"].state == ("problem" if more == SITE else "warning")
    assert said in found["cors"].message
    assert "STORAGE_PROXY=true" in str(found["cors"].todo)
    assert ("AWS_PROFILE" in str(found["cors"].todo)) == (code == "AccessDenied")
    assert found["lifecycle"].state == "ok"


@pytest.mark.parametrize("operation", ["put", "get"])
def test_no_lifecycle(target: Bucket, tmp_path: Path, operation: str) -> None:
    refuse(target, "NotImplemented", f"{operation}_bucket_lifecycle_configuration")
    finding = done(target, tmp_path)["lifecycle"]
    assert finding.state == "warning"
    assert "does not offer s3:" in finding.message
    assert finding.todo == "do without it: the service itself deletes what has expired"


def test_rules_that_are_returned_late(
    target: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aistemsplitter_server.cli.bucket_setup.PAUSES", (0.0, 0.0, 0.0))
    get, stale = target.client.get_bucket_lifecycle_configuration, count(1)

    def late(**given: Any) -> Any:
        return {"Rules": []} if next(stale) <= 3 else get(**given)

    target.client.get_bucket_lifecycle_configuration = late
    assert done(target, tmp_path)["lifecycle"].state == "ok"


def test_rules_that_are_not_stored(
    target: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aistemsplitter_server.cli.bucket_setup.PAUSES", (0.0, 0.0))
    target.client.put_bucket_cors = lambda **_: None
    target.client.put_bucket_lifecycle_configuration = lambda **_: None
    found = done(target, tmp_path, **SITE)
    assert (found["cors"].state, found["lifecycle"].state) == ("problem", "warning")
    for finding in (found["cors"], found["lifecycle"]):
        assert "does not return it" in finding.message


def test_a_rule_that_deletes_songs(target: Bucket, tmp_path: Path) -> None:
    rule = {
        "ID": "tidy",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "Expiration": {"Days": 30},
    }
    target.client.put_bucket_lifecycle_configuration(
        Bucket=target.name, LifecycleConfiguration={"Rules": [rule]}
    )
    problem = "lifecycle rule tidy deletes everything after 30 days"
    failed = run(tmp_path, "storage", "setup", "--json")
    assert failed.returncode == 1
    steps = {step["check"]: step for step in json.loads(failed.stdout)["steps"]}
    assert problem in steps["lifecycle rules"]["message"]
    assert steps["lifecycle"]["state"] == "ok"


def test_doctor_reports_a_rule_that_deletes_songs(target: Bucket, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    secrets.load(tmp_path)
    assert [finding.state for finding in checks.storage(settings)] == ["ok"]
    done(target, tmp_path)
    longer = Settings(data=tmp_path, retention_hours=34 * 24)
    found = [*checks.storage(longer)]
    assert [finding.state for finding in found] == ["ok", "problem", "problem"]
    assert "uploads/ after 33 days" in found[1].message
    assert "aistemsplitter-server storage setup" in str(found[1].todo)
