"""``/v1/audio/uploads`` to reserve uploads, and ``/uploads/...`` to send their bytes."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response, Security
from starlette.concurrency import run_in_threadpool

from aistemsplitter_server.accounts import standing
from aistemsplitter_server.accounts.scopes import Scope
from aistemsplitter_server.accounts.service import Caller
from aistemsplitter_server.api.authentication import permitted
from aistemsplitter_server.api.responses import errors, signed
from aistemsplitter_server.http.context import (
    BaseUrl,
    Context,
    IdempotencyKey,
    InContext,
    InStorage,
)
from aistemsplitter_server.kit.errors import (
    AccountSuspended,
    ApiError,
    Conflict,
    Forbidden,
    IdempotencyInProgress,
    IdempotencyMismatch,
    LimitExceeded,
    NotFound,
    PayloadTooLarge,
    RequestTimeout,
    Unavailable,
    ValidationFailed,
)
from aistemsplitter_server.kit.schemas import Success
from aistemsplitter_server.splits import queries as splits
from aistemsplitter_server.storage import keys
from aistemsplitter_server.storage.interface import DirectParts, Partial, Storage
from aistemsplitter_server.uploads import (
    addresses,
    direct,
    measuring_queue,
    receiving,
    reservations,
    service,
)
from aistemsplitter_server.uploads.right import Right
from aistemsplitter_server.uploads.schemas import (
    Reservation,
    ReserveUpload,
    Uploaded,
    UploadPart,
    UploadParts,
)
from aistemsplitter_server.uploads.tables import Upload

router = APIRouter(tags=["uploads"])

DirectUpload = Annotated[
    bool,
    Header(
        alias="Direct-Upload",
        description="whether the client can send the bytes to another origin with given headers",
    ),
]
Digest = Annotated[
    str | None,
    Header(
        alias="Upload-Sha256",
        pattern="^[0-9a-f]{64}$",
        description="SHA-256 of the file, which the storage verifies in direct uploads",
    ),
]
PATH = "/uploads/{upload_id}"
ALL_PARTS = UploadParts(uploaded=True, missing_bytes=0, parts=[])
INCOMPLETE = 308  # sent to resumable uploads while bytes are missing
BODY: dict[str, Any] = {
    "parameters": signed("expires", "signature"),
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"file": {"type": "string", "format": "binary"}},
                    "required": ["file"],
                }
            },
        },
    },
}
BYTES = errors(
    Forbidden,
    AccountSuspended,
    NotFound,
    RequestTimeout,
    Conflict,
    PayloadTooLarge,
    ValidationFailed,
    Unavailable,
) | {308: {"description": "Bytes are still missing; `Range` names those that have arrived."}}


@router.post(
    "/v1/audio/uploads",
    responses=errors(
        IdempotencyInProgress,
        LimitExceeded,
        PayloadTooLarge,
        ValidationFailed,
        IdempotencyMismatch,
    ),
)
def create_upload(
    context: InContext,
    storage: InStorage,
    base_url: BaseUrl,
    caller: Annotated[Caller, Security(permitted, scopes=[Scope.UPLOADS_WRITE])],
    request: ReserveUpload,
    idempotency_key: IdempotencyKey = None,
    direct_upload: DirectUpload = False,
    upload_sha256: Digest = None,
) -> Success[Reservation]:
    """Reserve an upload. The response has the URL to send the bytes to.

    With an `Idempotency-Key` that was used before, it is the same upload, while that exists.

    With `Direct-Upload: true`, a service that keeps its files in object storage may return a
    presigned URL of the storage (then `resumable` is false). Send the whole file there in one PUT
    with the headers in `direct`, and create the split. The storage accepts only the reserved
    length and type, and the digest in `Upload-Sha256` if there was one, and answers 412 if the
    file is there already. For a larger file, `partsUrl` returns presigned URLs of its parts; it may
    also be sent to `uploadUrl`.
    """
    made = reservations.reserve(
        context.database,
        context.settings,
        context.secrets,
        caller,
        request,
        storage=storage,
        base_url=base_url,
        stored_bytes=splits.stored_bytes,
        key=idempotency_key,
        direct=direct_upload,
        sha256=upload_sha256,
    )
    return Success(data=made)


@router.post(
    PATH, name="upload_bytes", response_model=Success[Uploaded], responses=BYTES, openapi_extra=BODY
)
@router.put(
    PATH, name="put_bytes", response_model=Success[Uploaded], responses=BYTES, openapi_extra=BODY
)
async def upload_bytes(
    context: InContext, storage: InStorage, base_url: BaseUrl, request: Request, upload_id: str
) -> Success[Uploaded] | Response:
    """Upload the bytes, raw or as the part `file` of a form.

    A form may also be sent with the `uploadHeaders` of the reservation. With
    `Content-Range: bytes START-END/LENGTH` the body is a part of the file; `bytes */LENGTH`
    returns how many bytes are stored.
    """
    upload = await run_in_threadpool(_writable, context, request, upload_id)
    part = receiving.span(request, upload)
    claim = partial(_claim, context, upload_id)
    token = upload.partial_token
    file = await run_in_threadpool(storage.partial, keys.upload(upload_id), token, claim)
    try:
        # again, since another request may have been faster
        upload = await run_in_threadpool(_writable, context, request, upload_id)
        right = Right(context.settings, context.database, upload)
        if part is None or part.stop > part.start:
            receiving.check_type(request, upload)
            await run_in_threadpool(right.extend)
            check = standing.Recheck(partial(_check, context, upload.account_id, right))
            await receiving.receive(request, upload, part, file, check)
        if file.size < upload.content_length:
            return _incomplete(file.size)
        await run_in_threadpool(_store, context, storage, upload, file, right)
    finally:
        await run_in_threadpool(file.close)
    await context.measurements.wait(upload)
    url = addresses.to_read(base_url, upload_id)
    return Success(data=Uploaded(url=url, key=keys.upload(upload_id)))


@router.post(
    f"{PATH}/parts",
    responses=errors(Forbidden, AccountSuspended, NotFound, Conflict, Unavailable),
    openapi_extra={"parameters": signed("expires", "signature")},
)
def upload_parts(
    context: InContext, storage: InStorage, request: Request, upload_id: str
) -> Success[UploadParts]:
    """Return presigned URLs for the next parts of a large file that have not arrived.

    Send each part by PUT, as often as necessary, and repeat this request until `uploaded` is true.
    So an interrupted upload is continued with the parts that are missing.
    """
    upload = _permitted(context, request, upload_id)
    if upload.stored_at is not None:
        return Success(data=ALL_PARTS)
    uploads = direct.possible_in_parts(storage, upload.content_length)
    if uploads is None:
        raise Conflict("This file must be sent to its uploadUrl.")
    claim, key = partial(_claim, context, upload_id), keys.upload(upload_id)
    file = uploads.parts(key, upload.partial_token, claim, upload.content_length)
    right = Right(context.settings, context.database, upload)
    missing = file.missing
    if not missing:
        _store(context, storage, upload, file, right, by_worker=True)
        return Success(data=ALL_PARTS)
    following = missing[: direct.PARTS]
    right.extend(ahead=sum(map(len, following)))
    made = [file.request(span, right.remaining) for span in following]
    parts = [UploadPart(start=part.start, length=part.length, url=part.url) for part in made]
    missing_bytes = sum(map(len, missing))
    return Success(data=UploadParts(uploaded=False, missing_bytes=missing_bytes, parts=parts))


def _permitted(context: Context, request: Request, upload_id: str) -> Upload:
    """Return the upload that the URL of the request allows to write, if it is not deleted."""
    with context.database.read() as session:
        upload = session.get(Upload, upload_id)
        if upload is None:
            raise Forbidden(addresses.REFUSED)  # reveals nothing to callers without permission
        addresses.verify(context.secrets, upload, request.query_params.multi_items())
        standing.require_active(session, upload.account_id)
    if upload.deleted_at is not None:
        raise NotFound(service.GONE)
    return upload


def _writable(context: Context, request: Request, upload_id: str) -> Upload:
    upload = _permitted(context, request, upload_id)
    if upload.stored_at is not None:
        raise Conflict("This file was uploaded already.")
    return upload


def _claim(context: Context, upload_id: str, before: str | None, token: str) -> None:
    with context.database.write() as session:
        service.claim(session, upload_id, before, token)


def _check(context: Context, account_id: str, right: Right) -> None:
    right.extend()
    with context.database.read() as session:
        standing.require_active(session, account_id)


def _store(
    context: Context,
    storage: Storage,
    upload: Upload,
    file: Partial | DirectParts,
    right: Right,
    *,
    by_worker: bool = False,
) -> None:
    """Make what has arrived the upload's file.

    Args:
        by_worker: Whether a worker measures it, since the API has not seen the bytes.
    """
    right.extend()
    try:
        file.store()
    except FileNotFoundError:  # a sweep has deleted it
        raise NotFound(service.GONE) from None
    try:
        with context.database.write() as session:
            standing.require_active(session, upload.account_id)
            row = service.stored(session, context.settings, upload.id, file.token)
            if by_worker:
                measuring_queue.add(session, row)
    except Conflict:
        raise  # the object is now another request's
    except ApiError:
        storage.delete_prefix(keys.upload(upload.id))
        raise


def _incomplete(size: int) -> Response:
    headers = {"Range": f"bytes=0-{size - 1}"} if size else {}
    return Response(status_code=INCOMPLETE, headers=headers)
