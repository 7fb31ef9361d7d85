"""A bucket's rules for web pages and for deleting objects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.storage import s3_rules
from aistemsplitter_server.storage.s3 import S3Storage
from aistemsplitter_server.storage.s3_bucket import Bucket
from processes import until
from storage.stored import KEY, SONG, put

PAGE, OTHER_PAGE = "https://splitter.example", "https://evil.example"
OTHER_CORS = {"ID": "other", "AllowedOrigins": ["https://b.example"], "AllowedMethods": ["PUT"]}
OTHER = {
    "ID": "other",
    "Status": "Enabled",
    "Filter": {"Prefix": "logs/"},
    "Expiration": {"Days": 3},
}


@pytest.fixture
def rules(s3: S3Storage) -> Iterator[Bucket]:
    """A bucket without rules."""
    yield s3.bucket
    s3.bucket.client.delete_bucket_cors(Bucket=s3.bucket.name)
    s3.bucket.client.delete_bucket_lifecycle(Bucket=s3.bucket.name)


def cors(bucket: Bucket) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = bucket.client.get_bucket_cors(Bucket=bucket.name)["CORSRules"]
    return found


def lifecycle(bucket: Bucket) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = bucket.client.get_bucket_lifecycle_configuration(
        Bucket=bucket.name
    )["Rules"]
    return found


def set_rules(bucket: Bucket, *given: dict[str, Any]) -> None:
    bucket.client.put_bucket_lifecycle_configuration(
        Bucket=bucket.name, LifecycleConfiguration={"Rules": [*given]}
    )


def test_the_origins_of_pages(tmp_path: Path) -> None:
    def of(**more: Any) -> list[str]:
        return s3_rules.origins(Settings(data=tmp_path, **more))

    assert of() == []
    assert of(public_url=PAGE) == [PAGE]
    assert of(public_url=PAGE, cors_origins="https://shop.example") == ["*"]
    assert of(public_url=PAGE, storage_proxy=True) == []
    shop = Settings(data=tmp_path, public_url=PAGE, cors_origins=f"https://shop.example,{PAGE}")
    assert s3_rules.uploading_origins(shop) == [PAGE, "https://shop.example"]
    proxy = Settings(data=tmp_path, public_url=PAGE, storage_proxy=True)
    assert s3_rules.uploading_origins(proxy) == []


def test_scripts_of_pages_may_read(s3: S3Storage, rules: Bucket, tmp_path: Path) -> None:
    put(s3, tmp_path, b"stem")
    url = s3.direct_url(KEY, expires_in=timedelta(hours=1), filename="a.wav")
    assert url is not None
    with httpx2.Client(trust_env=False, timeout=60) as client:

        def allowed(origin: str) -> str | None:
            return client.get(url, headers={"Origin": origin}).headers.get(
                "access-control-allow-origin"
            )

        assert s3_rules.set_cors(rules, s3_rules.cors_rules(rules, [PAGE], []))
        until(lambda: allowed(PAGE) == PAGE)
        assert allowed(OTHER_PAGE) is None
        # A page of another site has been redirected from our origin to the bucket's.
        assert s3_rules.set_cors(rules, s3_rules.cors_rules(rules, ["*"], []))
        until(lambda: allowed("null") in ("*", "null"))
        asked = {"Origin": "null", "Access-Control-Request-Method": "PUT"}
        answer = client.options(url, headers=asked)
        assert "PUT" not in answer.headers.get("access-control-allow-methods", "")


@pytest.mark.parametrize("reading", [[], ["*"], [PAGE]], ids=["none", "any", "page"])
def test_scripts_of_pages_may_upload(s3: S3Storage, rules: Bucket, reading: list[str]) -> None:
    assert s3_rules.set_cors(rules, s3_rules.cors_rules(rules, reading, [PAGE]))
    uploads = s3.direct()
    assert uploads is not None
    request = uploads.put(
        SONG, expires_in=timedelta(hours=1), length=4, content_type="audio/wav", sha256=bytes(32)
    )
    names = ", ".join(request.headers).lower()
    with httpx2.Client(trust_env=False, timeout=60) as client:

        def allowed(origin: str, method: str, headers: str) -> bool:
            asked = {
                "Origin": origin,
                "Access-Control-Request-Method": method,
                "Access-Control-Request-Headers": headers,
            }
            found = client.options(request.url, headers=asked).headers
            return method in found.get("access-control-allow-methods", "")

        # Without rules, and until they take effect, the server allows any page.
        until(lambda: not allowed(OTHER_PAGE, "PUT", names))
        assert allowed(PAGE, "PUT", names)
        assert allowed(PAGE, "GET", "range")
        assert allowed(OTHER_PAGE, "GET", "range") == (reading == ["*"])


def test_cors_rules_of_others_are_kept(rules: Bucket) -> None:
    configuration = {"CORSRules": [OTHER_CORS]}
    rules.client.put_bucket_cors(Bucket=rules.name, CORSConfiguration=configuration)
    first, second = (
        s3_rules.cors_rules(rules, [origin], []) for origin in (PAGE, "https://c.example")
    )
    assert s3_rules.set_cors(rules, first)
    assert not s3_rules.set_cors(rules, first)
    assert s3_rules.has_cors(rules, first)
    assert s3_rules.set_cors(rules, second)
    assert not s3_rules.has_cors(rules, first)
    assert [rule["AllowedOrigins"] for rule in cors(rules)] == [
        ["https://b.example"],
        ["https://c.example"],
    ]
    assert s3_rules.set_cors(rules, [])
    assert [rule["ID"] for rule in cors(rules)] == ["other"]


def test_without_cors_rules_none_are_left(rules: Bucket) -> None:
    assert s3_rules.set_cors(rules, s3_rules.cors_rules(rules, [PAGE], []))
    assert s3_rules.set_cors(rules, [])
    assert not s3_rules.set_cors(rules, [])


def test_the_lifecycle_deletes_later_than_the_service(rules: Bucket, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, retention_hours=73, upload_url_seconds=25 * 3600)
    wanted = s3_rules.lifecycle_rules(rules, settings)
    assert s3_rules.set_lifecycle(rules, wanted)
    assert s3_rules.has_lifecycle(rules, wanted)
    found = {rule["Filter"]["Prefix"].removeprefix(rules.prefix): rule for rule in lifecycle(rules)}
    # neither stems, which users may keep for ever, nor the object that identifies the storage
    assert found.keys() == {"", "uploads/", "fetched/", "partial/", "checkpoints/"}
    assert found[""]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 2 + 7}
    assert "Expiration" not in found[""]
    for name in ("uploads/", "fetched/", "partial/", "checkpoints/"):
        assert found[name]["Expiration"] == {"Days": 4 + 30}
    assert [*s3_rules.shortened(rules, settings)] == []


def test_lifecycle_rules_of_others_are_kept(rules: Bucket, tmp_path: Path) -> None:
    """Also those of another installation in the same bucket."""
    set_rules(rules, OTHER)
    one, two = (replace(rules, prefix=prefix) for prefix in ("one/", "one/two/"))
    settings = Settings(data=tmp_path)
    for bucket in (one, two):
        assert s3_rules.set_lifecycle(bucket, s3_rules.lifecycle_rules(bucket, settings))
        assert not s3_rules.set_lifecycle(bucket, s3_rules.lifecycle_rules(bucket, settings))
    longer = s3_rules.lifecycle_rules(one, Settings(data=tmp_path, retention_hours=240))
    assert s3_rules.set_lifecycle(one, longer)
    found = lifecycle(rules)
    assert len(found) == 1 + 5 + 5
    assert OTHER in found
    assert s3_rules.has_lifecycle(one, longer)
    assert s3_rules.has_lifecycle(two, s3_rules.lifecycle_rules(two, settings))


@pytest.mark.parametrize(
    ("prefix", "days", "more", "named"),
    [
        ("", 10_000, {}, True),  # it deletes what identifies the storage
        ("{}splits/", 300, {}, True),
        ("{}splits/split_1/", 300, {}, True),
        ("{}splits/", 300, {"keep_days": 0}, False),
        ("{}splits/", 3, {"keep_days": 0}, True),
        ("{}uploads/", 3, {}, True),
        ("{}uploads/", 4, {}, False),
        ("other/", 1, {}, False),
    ],
)
def test_rules_that_delete_too_early(
    rules: Bucket, tmp_path: Path, prefix: str, days: int, more: dict[str, int], named: bool
) -> None:
    where = prefix.format(rules.prefix)
    set_rules(rules, {**OTHER, "Filter": {"Prefix": where}, "Expiration": {"Days": days}})
    found = [*s3_rules.shortened(rules, Settings(data=tmp_path, **more))]
    expected = [s3_rules.Shortened("other", where, days)] if named else []
    assert found == expected


def test_a_disabled_rule_deletes_nothing(rules: Bucket, tmp_path: Path) -> None:
    set_rules(rules, {**OTHER, "Filter": {"Prefix": ""}, "Status": "Disabled"})
    assert [*s3_rules.shortened(rules, Settings(data=tmp_path))] == []


def test_versioning(s3: S3Storage) -> None:
    client, other = s3.bucket.client, replace(s3.bucket, name="with-versions")
    assert not s3_rules.keeps_versions(s3.bucket)
    client.create_bucket(Bucket=other.name)
    try:
        client.put_bucket_versioning(
            Bucket=other.name, VersioningConfiguration={"Status": "Enabled"}
        )
        assert s3_rules.keeps_versions(other)
    finally:
        client.delete_bucket(Bucket=other.name)
