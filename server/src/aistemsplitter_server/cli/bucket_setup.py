"""The steps of ``storage setup``: each sets a rule of the bucket and reads it back."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator

from aistemsplitter_server.cli.checks import Finding, too_short
from aistemsplitter_server.kit.settings import PREFIX, Settings
from aistemsplitter_server.storage import s3_check, s3_rules
from aistemsplitter_server.storage.interface import StorageFailed
from aistemsplitter_server.storage.s3_bucket import Bucket

ALLOW = "allow it, or run this once with an administrator's credentials (AWS_PROFILE=...)"
# Seconds between tries to read a rule back: AWS may return the previous rules for a while.
PAUSES = (0.0, 0.5, 1.0, 2.0, 4.0)
NOT_READ_BACK = "the service accepted it, but does not return it"


def steps(bucket: Bucket, settings: Settings) -> Iterator[Finding]:
    """Set up a bucket, and yield the result of each step."""
    try:
        s3_check.permissions(bucket)
    except StorageFailed as error:
        # Whatever makes it fail, from a wrong key to a missing bucket, fails the others too.
        yield Finding("permissions", "problem", str(error.strerror), error.todo)
        return
    yield Finding("permissions", "ok", f"all that the service needs: {settings.storage}")
    yield from _cors(bucket, settings)
    yield from _lifecycle(bucket, settings)
    yield from too_short(bucket, settings)
    yield from _versions(bucket)


def _cors(bucket: Bucket, settings: Settings) -> Iterator[Finding]:
    """Let scripts of web pages read and upload. The service's own pages work without this."""
    origins, uploading = s3_rules.origins(settings), s3_rules.uploading_origins(settings)
    needed = bool(settings.origins and not settings.storage_proxy)
    todo = f"set {PREFIX}STORAGE_PROXY=true to send uploads and downloads through the API"
    try:
        wanted = s3_rules.cors_rules(bucket, origins, uploading)
        changed = s3_rules.set_cors(bucket, wanted)
        if not _becomes_true(lambda: s3_rules.has_cors(bucket, wanted)):
            yield _failed("cors", NOT_READ_BACK, todo, needed=needed)
            return
    except StorageFailed as error:
        if not origins:
            yield Finding("cors", "ok", "no rules needed")
        else:
            yield _failed("cors", str(error.strerror), _way_out(error, todo), needed=needed)
        return
    pages = "any site" if origins == ["*"] else ", ".join(origins)
    what = (
        f"scripts of {pages} may read presigned URLs, those of {', '.join(uploading)} may upload"
        if origins
        else "no rules needed"
    )
    yield Finding("cors", "ok", _told(what, changed=changed))


def _lifecycle(bucket: Bucket, settings: Settings) -> Iterator[Finding]:
    """Have the bucket delete what the service has failed to delete."""
    wanted = s3_rules.lifecycle_rules(bucket, settings)
    todo = "do without it: the service itself deletes what has expired"
    try:
        changed = s3_rules.set_lifecycle(bucket, wanted)
        if not _becomes_true(lambda: s3_rules.has_lifecycle(bucket, wanted)):
            yield _failed("lifecycle", NOT_READ_BACK, todo)
            return
    except StorageFailed as error:
        yield _failed("lifecycle", str(error.strerror), _way_out(error, todo))
        return
    unfinished, song = wanted[0]["AbortIncompleteMultipartUpload"], wanted[1]["Expiration"]
    what = (
        f"unfinished uploads are deleted after {unfinished['DaysAfterInitiation']} days,"
        f" uploaded and fetched songs after {song['Days']}"
    )
    yield Finding("lifecycle", "ok", _told(what, changed=changed))


def _versions(bucket: Bucket) -> Iterator[Finding]:
    try:
        kept = s3_rules.keeps_versions(bucket)
    except StorageFailed:
        return
    if kept:
        message = "versioning is on, so deleted songs stay in the bucket as old versions"
        todo = "suspend versioning, or let a lifecycle rule delete old versions after a day"
        yield Finding("versions", "warning", message, todo)


def _way_out(error: StorageFailed, instead: str) -> str:
    return f"{ALLOW}; or {instead}" if error.errno == errno.EACCES else instead


def _becomes_true(check: Callable[[], bool]) -> bool:
    for pause in PAUSES:
        time.sleep(pause)
        if check():
            return True
    return False


def _failed(check: str, message: str, todo: str, *, needed: bool = False) -> Finding:
    return Finding(check, "problem" if needed else "warning", message, todo)


def _told(what: str, *, changed: bool) -> str:
    return what if changed else f"{what} (unchanged)"
