"""A client's calls on uploads, usage, credits and models, without those on splits."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import date
from functools import partial
from typing import Any

from aistemsplitter import _operations
from aistemsplitter._models import Credits, Model, Usage
from aistemsplitter._pages import UploadPage
from aistemsplitter._sync_calls import SyncCalls
from aistemsplitter._types import UploadId
from aistemsplitter._upload_models import DeletedUpload, Upload, UploadInfo


class AccountCalls(SyncCalls):
    """A client's calls on uploads, usage, credits and models; a base class of the client."""

    def create_upload(
        self,
        filename: str | os.PathLike[str],
        *,
        content_length: int | None = None,
        content_type: str | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, Any] | None = None,
    ) -> Upload:
        """Create a presigned URL for uploading one file straight to the storage.

        For uploads by other means, such as a browser; ``create_split`` uploads files by itself.

        Args:
            filename: Name of the file; without ``content_length``, path of a local file.
            content_length: Length of the upload in bytes; that of the local file if omitted.
            content_type: Media type of the file; derived from its name if omitted.
            extra_headers: Additional headers of the call.
            extra_body: Additional fields of the request's JSON, by their API names.

        Raises:
            PayloadTooLarge: The length exceeds the server's limit.
            FileError: The length was omitted and the local file cannot be read.
        """
        return self._run(
            _operations.presign_upload(
                self._session_with(extra_headers),
                filename,
                content_length,
                content_type,
                extra_body,
            )
        )

    def list_uploads(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        extra_headers: Mapping[str, str] | None = None,
    ) -> UploadPage:
        """Return a page of the account's uploads, newest first. Iterating continues across pages.

        Args:
            limit: Number of uploads per page, 1 to 100; the server's default is 20.
            cursor: ``next_cursor`` of the previous page; omit it for the first page.
            extra_headers: Additional headers of the calls.
        """
        operation = partial(_operations.list_uploads, self._session_with(extra_headers), limit)
        return self._page(UploadPage, operation, cursor)

    def get_upload(
        self, upload_id: UploadId, *, extra_headers: Mapping[str, str] | None = None
    ) -> UploadInfo:
        """Return an upload with its length in seconds, once it is measured.

        Args:
            upload_id: Id of the upload, or the object returned by ``create_upload``.
            extra_headers: Additional headers of the call.

        Raises:
            NotFound: The account has no such upload.
        """
        return self._run(_operations.get_upload(self._session_with(extra_headers), upload_id))

    def delete_upload(
        self, upload_id: UploadId, *, extra_headers: Mapping[str, str] | None = None
    ) -> DeletedUpload:
        """Delete an uploaded file, or a reservation whose bytes have not arrived.

        Args:
            upload_id: Id of the upload, or the object returned by ``create_upload``.
            extra_headers: Additional headers of the call.

        Raises:
            NotFound: The account has no such upload.
            Conflict: A split that is not done needs it.
        """
        operation = _operations.delete_upload(self._session_with(extra_headers), upload_id)
        return self._run(operation)

    def get_credits(self, *, extra_headers: Mapping[str, str] | None = None) -> Credits:
        """Return the account's balance, in seconds of audio."""
        return self._run(_operations.get_credits(self._session_with(extra_headers)))

    def get_usage(
        self,
        *,
        start: date | None = None,
        end: date | None = None,
        extra_headers: Mapping[str, str] | None = None,
    ) -> Usage:
        """Return the account's usage by day (UTC), of at most 31 days.

        Args:
            start: First day; the 30 days that end with ``end`` are returned if omitted.
            end: Last day; today if omitted.
            extra_headers: Additional headers of the call.

        Raises:
            ValidationFailed: The days are in the wrong order or too far apart.
        """
        session = self._session_with(extra_headers)
        return self._run(_operations.get_usage(session, start, end))

    def list_models(self, *, extra_headers: Mapping[str, str] | None = None) -> tuple[Model, ...]:
        """Return the models that the server runs, with their stems."""
        return self._run(_operations.list_models(self._session_with(extra_headers)))

    presign_upload = create_upload
    models = list_models
