"""``/v1/audio/uploads`` to list, see and delete uploads."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Security

from aistemsplitter_server.accounts.scopes import Scope
from aistemsplitter_server.accounts.service import Caller
from aistemsplitter_server.api.authentication import permitted
from aistemsplitter_server.api.pagination import Cursor, PageLimit, cut, id_before
from aistemsplitter_server.api.responses import errors
from aistemsplitter_server.audit import service as audit
from aistemsplitter_server.audit.service import Action
from aistemsplitter_server.http.context import BaseUrl, InContext
from aistemsplitter_server.kit.errors import Conflict, NotFound, ValidationFailed
from aistemsplitter_server.kit.schemas import Success
from aistemsplitter_server.splits import queries as splits
from aistemsplitter_server.uploads import listing, service
from aistemsplitter_server.uploads.schemas import DeletedUpload, UploadInfo, UploadPage

router = APIRouter(prefix="/v1/audio/uploads", tags=["uploads"])

# The scope that makes uploads also sees them: a scope of its own would be one that no key has.
Uploader = Annotated[Caller, Security(permitted, scopes=[Scope.UPLOADS_WRITE])]


@router.get("", responses=errors(ValidationFailed))
def list_uploads(
    context: InContext,
    base_url: BaseUrl,
    caller: Uploader,
    limit: PageLimit = 20,
    cursor: Cursor = None,
) -> Success[UploadPage]:
    """Return the account's uploads of the key's mode (test or live), newest first."""
    with context.database.read() as session:
        found = listing.page(session, caller, id_before("upl", cursor), limit + 1)
    page, next_cursor = cut(found, limit, lambda upload: upload.id)
    items = [listing.shown(upload, base_url) for upload in page]
    return Success(data=UploadPage(items=items, next_cursor=next_cursor))


@router.get("/{upload_id}", responses=errors(NotFound))
def get_upload(
    context: InContext, base_url: BaseUrl, caller: Uploader, upload_id: str
) -> Success[UploadInfo]:
    """Return an upload."""
    with context.database.read() as session:
        upload = service.of_caller(session, caller, upload_id)
    return Success(data=listing.shown(upload, base_url))


@router.delete("/{upload_id}", responses=errors(NotFound, Conflict))
def delete_upload(context: InContext, caller: Uploader, upload_id: str) -> Success[DeletedUpload]:
    """Delete an upload, complete or not. Its bytes are deleted within minutes.

    Splits that have ended keep their stems, but a failed one can no longer be retried.
    """
    with context.database.write() as session:
        listing.delete(session, caller, upload_id, splits.needed_uploads)
        audit.record(session, caller.account_id, caller.key_id, Action.UPLOAD_DELETED, upload_id)
    return Success(data=DeletedUpload(upload_id=upload_id))
