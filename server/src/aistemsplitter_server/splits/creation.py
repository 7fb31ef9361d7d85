"""Creating a split on request: validation, idempotency, charge and queue entry.

All of it is one transaction, since queries and round trips to the database bound how many requests
the API can serve. An upload that is not measured yet is waited for outside the transaction, and
then everything is checked again.
"""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from aistemsplitter_server.accounts.limits import limits_of
from aistemsplitter_server.accounts.service import Caller
from aistemsplitter_server.kit import logs, outgoing
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.errors import Forbidden, Unavailable, ValidationFailed
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.models import queries as models
from aistemsplitter_server.models.service import serving
from aistemsplitter_server.splits import idempotency, rendering, service
from aistemsplitter_server.splits.schemas import CreateSplit, DirectUrl, Priority, SplitJob
from aistemsplitter_server.uploads import service as uploads
from aistemsplitter_server.uploads.measurements import Measurements
from aistemsplitter_server.uploads.tables import Upload


async def create(
    database: Database,
    settings: Settings,
    measurements: Measurements,
    caller: Caller,
    request: CreateSplit,
    key: str | None,
) -> tuple[SplitJob, bool]:
    """Create a split, or with an idempotency key that was used before return the same one.

    Args:
        key: The request's idempotency key.

    Returns:
        The response, and whether it is that of an earlier request.

    Raises:
        ApiError: One of those that the endpoint declares.
    """
    key = caller.scoped(key)
    with idempotency.exclusive(caller.account_id, key):
        while True:
            found = await run_in_threadpool(
                _created, database, settings, measurements, caller, request, key
            )
            if not isinstance(found, Upload):
                break
            if not await measurements.wait(found):
                raise Unavailable("The upload is still being measured. Try again in a moment.")
    job, replayed = found
    if not replayed:
        logs.add_fields(split_id=job.id)
    return job, replayed


def _created(
    database: Database,
    settings: Settings,
    measurements: Measurements,
    caller: Caller,
    request: CreateSplit,
    key: str | None,
) -> tuple[SplitJob, bool] | Upload:
    """Create the split in one transaction, or return the upload that must be measured first."""
    fingerprint = idempotency.fingerprint(request)
    with database.write() as session:
        if key is not None:
            answer = idempotency.begin(session, caller.account_id, key, fingerprint)
            if answer is not None:
                return SplitJob.model_validate(answer, by_alias=True), True
        source = _source(session, caller, request)
        if source is not None and not measurements.are_done(source):
            return source
        job = _create(session, settings, caller, request, source)
        if key is not None:
            answer = job.model_dump(by_alias=True)
            idempotency.remember(session, caller.account_id, key, fingerprint, answer)
    return job, False


def _create(
    session: Session,
    settings: Settings,
    caller: Caller,
    request: CreateSplit,
    source: Upload | None,
) -> SplitJob:
    runs = serving(
        request.model,
        models.installed(session),
        test=caller.is_test,
        demo=settings.demo,
    )
    split = service.create(
        session,
        caller,
        request,
        source=source,
        filename=source.filename if source else _filename(request),
        serving=runs,
        priority=_priority(caller, request),
        allowed=limits_of(session, settings, caller.account_id),
    )
    return rendering.job(split)


def _source(session: Session, caller: Caller, request: CreateSplit) -> Upload | None:
    """Return the upload that is to be split; None for a song to be fetched from its URL."""
    if request.webhook_url is not None:
        _checked(request.webhook_url, "webhookUrl")
    for stem, target in (request.output.stems if request.output else {}).items():
        _checked(target.url, f"output.stems.{stem}.url")
    given = request.input
    if not isinstance(given, DirectUrl):
        return uploads.of_caller(session, caller, given.upload_id)
    own = uploads.by_audio_url(session, caller, given.url)
    if own is None:
        _checked(given.url, "input.url")
    return own


def _checked(url: str, field: str) -> None:
    try:
        outgoing.check(url)
    except outgoing.NotAllowed as error:
        raise ValidationFailed([(field, str(error))]) from None


def _priority(caller: Caller, request: CreateSplit) -> Priority:
    if request.priority == "interactive" and caller.top_priority != "interactive":
        raise Forbidden("This API key may only use the priority batch.")
    return request.priority or caller.top_priority


def _filename(request: CreateSplit) -> str:
    """Return the last part of the URL's path, as a name to show."""
    assert isinstance(request.input, DirectUrl)
    return uploads.display_name(unquote(urlsplit(request.input.url).path))
