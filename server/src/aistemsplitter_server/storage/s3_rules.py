"""Rules of a bucket: which web pages may read its objects, and when it deletes objects itself.

A bucket has one list of CORS rules and one of lifecycle rules, which other programs may use too.
Ours are recognized by their ids, and all others are kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from botocore.exceptions import ClientError

from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.storage import keys
from aistemsplitter_server.storage.s3_bucket import Bucket, code

Rule: TypeAlias = dict[str, Any]

ID = "aistemsplitter-server"  # what the ids of our rules begin with
NO_CORS = "NoSuchCORSConfiguration"
NO_LIFECYCLE = "NoSuchLifecycleConfiguration"
READ = ("GET", "HEAD")
READ_HEADERS = ("Range", "If-Range")
PUT_HEADERS = ("Content-Type", "If-None-Match", "x-amz-checksum-sha256")
CORS_SECONDS = 3600  # that browsers remember the answer
# prefixes of objects that no user may keep; those of uploads come first
EXPIRING = (keys.UPLOADS, keys.FETCHED, keys.PARTIAL, keys.CHECKPOINTS)
MARGIN = 30  # days after the retention time until the bucket deletes a song
ABORT_AFTER = 7  # days after an upload can have ended
DAY = 24 * 3600  # seconds
SIZES = "TransitionDefaultMinimumObjectSize"  # an option of the lifecycle on AWS


@dataclass(frozen=True, slots=True)
class Shortened:
    """A rule that deletes objects while the service still needs them."""

    name: str
    prefix: str
    days: int | None


def uploading_origins(settings: Settings) -> list[str]:
    """Return the origins of the web pages whose scripts send songs to the bucket."""
    if settings.storage_proxy:
        return []
    own = [settings.public_url] if settings.public_url else []
    return [*own, *(origin for origin in settings.origins if origin not in own)]


def origins(settings: Settings) -> list[str]:
    """Return the origins of the web pages whose scripts follow a redirect into the bucket."""
    if settings.storage_proxy:
        return []
    if settings.origins:
        # The redirect leads from their origin over ours to the bucket's, and then browsers send
        # "Origin: null". Presigned URLs are the protection, and no cookie is ever sent.
        return ["*"]
    return [settings.public_url] if settings.public_url else []


def cors_rules(bucket: Bucket, reading: Sequence[str], uploading: Sequence[str]) -> list[Rule]:
    """Return the CORS rules for scripts of pages.

    SeaweedFS applies the first rule with the page's origin, whatever its methods. So pages that may
    upload have a rule for all that they may do, before that for any page.

    Args:
        reading: Origins of those that may read objects.
        uploading: Origins of those that may store new objects, and read.
    """
    rules = []
    if uploading:
        allowed = (["PUT", *READ], [*READ_HEADERS, *PUT_HEADERS])
        rules.append(_cors_rule(bucket, "upload", uploading, *allowed))
    if reading:
        rules.append(_cors_rule(bucket, "read", reading, READ, READ_HEADERS))
    return rules


def _cors_rule(
    bucket: Bucket,
    name: str,
    origins: Sequence[str],
    methods: Sequence[str],
    headers: Sequence[str],
) -> Rule:
    return {
        "ID": _id(bucket, name),
        "AllowedOrigins": [*origins],
        "AllowedMethods": [*methods],
        "AllowedHeaders": [*headers],
        "ExposeHeaders": ["Accept-Ranges", "Content-Length", "Content-Range", "ETag"],
        "MaxAgeSeconds": CORS_SECONDS,
    }


def lifecycle_rules(bucket: Bucket, settings: Settings) -> list[Rule]:
    """Return the lifecycle rules that delete what the service has failed to delete.

    Stems have none, because users may keep a song for as long as they like; the service looks for
    stems without a song every few hours.
    """
    days = -(-settings.retention_hours // 24) + MARGIN
    abort = {"DaysAfterInitiation": -(-settings.upload_url_seconds // DAY) + ABORT_AFTER}
    rules = [
        _lifecycle_rule(bucket, name, f"{name}/", {"Expiration": {"Days": days}})
        for name in EXPIRING
    ]
    unfinished = _lifecycle_rule(
        bucket, "unfinished", "", {"AbortIncompleteMultipartUpload": abort}
    )
    return [unfinished, *rules]


def set_cors(bucket: Bucket, wanted: Sequence[Rule]) -> bool:
    """Set our CORS rules. Return whether that was necessary.

    Raises:
        StorageFailed: They cannot be read or written.
    """
    found = _cors(bucket)
    others = [rule for rule in found if not _is_ours(bucket, rule)]
    if _same(found, [*others, *wanted], _cors_content):
        return False
    with bucket.errors("s3:PutBucketCORS"):
        if others or wanted:
            rules = {"CORSRules": [*others, *wanted]}
            bucket.client.put_bucket_cors(Bucket=bucket.name, CORSConfiguration=rules)
        else:
            bucket.client.delete_bucket_cors(Bucket=bucket.name)
    return True


def has_cors(bucket: Bucket, wanted: Sequence[Rule]) -> bool:
    """Return whether the bucket has these CORS rules."""
    found = [_cors_content(rule) for rule in _cors(bucket)]
    return all(_cors_content(rule) in found for rule in wanted)


def set_lifecycle(bucket: Bucket, wanted: Sequence[Rule]) -> bool:
    """Set our lifecycle rules. Return whether that was necessary.

    Raises:
        StorageFailed: They cannot be read or written.
    """
    configuration = _lifecycle(bucket)
    found = configuration.get("Rules", [])
    others = [rule for rule in found if not _is_ours(bucket, rule)]
    if _same(found, [*others, *wanted], _lifecycle_content):
        return False
    kept = {SIZES: configuration[SIZES]} if SIZES in configuration else {}
    with bucket.errors("s3:PutLifecycleConfiguration"):
        bucket.client.put_bucket_lifecycle_configuration(
            Bucket=bucket.name, LifecycleConfiguration={"Rules": [*others, *wanted]}, **kept
        )
    return True


def has_lifecycle(bucket: Bucket, wanted: Sequence[Rule]) -> bool:
    """Return whether the bucket has these lifecycle rules."""
    found = [_lifecycle_content(rule) for rule in _lifecycle(bucket).get("Rules", ())]
    return all(_lifecycle_content(rule) in found for rule in wanted)


def shortened(bucket: Bucket, settings: Settings) -> Iterator[Shortened]:
    """Yield the bucket's rules that delete what the service still needs.

    Raises:
        StorageFailed: The rules cannot be read.
    """
    retention = -(-settings.retention_hours // 24)
    needed: dict[str, float] = {
        keys.UPLOADS: retention,
        keys.FETCHED: retention,
        keys.SPLITS: max(retention, settings.keep_days),
        keys.INSTALLATION: float("inf"),
    }
    for rule in _lifecycle(bucket).get("Rules", ()):
        expiration = rule.get("Expiration", {})
        if rule.get("Status") != "Enabled" or not {"Days", "Date"} & expiration.keys():
            continue
        if _selects_by_tag(rule):
            continue  # the service sets no tags
        days, prefix = expiration.get("Days"), _prefix(rule)
        for name, least in needed.items():
            ours = f"{bucket.prefix}{name}/"
            selected = ours.startswith(prefix) or prefix.startswith(ours)
            if selected and (days is None or days <= least):
                yield Shortened(str(rule.get("ID", "without a name")), prefix, days)
                break


def keeps_versions(bucket: Bucket) -> bool:
    """Return whether deleted objects stay in the bucket as old versions.

    Raises:
        StorageFailed: That cannot be read.
    """
    with bucket.errors("s3:GetBucketVersioning"):
        found = bucket.client.get_bucket_versioning(Bucket=bucket.name)
    return bool(found.get("Status") == "Enabled")


def _cors(bucket: Bucket) -> list[Rule]:
    with bucket.errors("s3:GetBucketCORS"):
        try:
            rules: list[Rule] = bucket.client.get_bucket_cors(Bucket=bucket.name)["CORSRules"]
        except ClientError as error:
            if code(error) != NO_CORS:
                raise
            return []
    return rules


def _lifecycle(bucket: Bucket) -> dict[str, Any]:
    with bucket.errors("s3:GetLifecycleConfiguration"):
        try:
            found: dict[str, Any] = bucket.client.get_bucket_lifecycle_configuration(
                Bucket=bucket.name
            )
        except ClientError as error:
            if code(error) != NO_LIFECYCLE:
                raise
            return {}
    return found


def _lifecycle_rule(bucket: Bucket, name: str, prefix: str, action: Rule) -> Rule:
    selected = {"Filter": {"Prefix": bucket.prefix + prefix}}
    return {"ID": _id(bucket, name), "Status": "Enabled", **selected, **action}


def _id(bucket: Bucket, name: str) -> str:
    """Return the id of a rule. Installations that share a bucket have rules of their own."""
    return f"{ID} {bucket.prefix}{name}"[:255]


def _is_ours(bucket: Bucket, rule: Rule) -> bool:
    names = ("read", "upload", "unfinished", *EXPIRING)
    return rule.get("ID") in {_id(bucket, name) for name in names}


def _same(found: Sequence[Rule], wanted: Sequence[Rule], content: Any) -> bool:
    """Return whether the rules do the same, in any order."""
    remaining = [content(rule) for rule in found]
    for rule in wanted:
        if content(rule) not in remaining:
            return False
        remaining.remove(content(rule))
    return not remaining


def _cors_content(rule: Rule) -> tuple[object, ...]:
    """Return what a CORS rule allows. Services differ in ids, order and case."""
    names = ("AllowedOrigins", "AllowedMethods", "AllowedHeaders", "ExposeHeaders")
    return tuple(frozenset(value.lower() for value in rule.get(name, ())) for name in names)


def _lifecycle_content(rule: Rule) -> tuple[object, ...]:
    """Return what a lifecycle rule does and to which objects."""
    actions = {
        name: value for name, value in rule.items() if name not in ("ID", "Filter", "Prefix")
    }
    return _prefix(rule), _selects_by_tag(rule), sorted(actions.items(), key=str)


def _prefix(rule: Rule) -> str:
    found = rule.get("Filter", {})
    prefix = rule.get("Prefix") or found.get("Prefix") or found.get("And", {}).get("Prefix")
    return str(prefix or "")


def _selects_by_tag(rule: Rule) -> bool:
    found = rule.get("Filter", {})
    return "Tag" in found or bool(found.get("And", {}).get("Tags"))
