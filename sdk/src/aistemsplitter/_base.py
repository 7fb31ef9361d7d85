"""Base class of the two clients, without I/O: settings, webhooks, and clients with other options.

``_client.py`` and ``_async_client.py`` add the calls of the API.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn, Self

from aistemsplitter import _logs, _settings, _webhooks
from aistemsplitter._core import Session
from aistemsplitter._effects import Operation, Reply, Timeouts
from aistemsplitter._errors import ClientClosed, NotPicklable
from aistemsplitter._idempotency import IdempotencyKeys
from aistemsplitter._webhooks import HeadersLike, WebhookEvent


class BaseClient:
    """Settings of a client, and its methods that need no network."""

    def __init__(
        self,
        api_key: str | None,
        *,
        base_url: str | None,
        webhook_secret: str | Sequence[str] | None,
        timeout: float | Timeouts | None,
        max_retries: int,
        default_headers: Mapping[str, str] | None,
    ) -> None:
        _logs.set_up()
        self._session = Session(
            base_url=_settings.base_url(base_url),
            key=_settings.api_key(api_key),
            headers=_settings.headers(default_headers, "default_headers="),
            timeouts=_settings.timeouts(timeout),
            max_retries=_settings.max_retries(max_retries),
        )
        self._webhook_secrets = _settings.webhook_secrets(webhook_secret)
        self._root: Self | None = None  # the client that owns the connections, if another does
        self._closed = False

    def verify_webhook(
        self,
        headers: HeadersLike,
        raw_body: bytes | str,
        *,
        tolerance: float = _webhooks.TOLERANCE,
    ) -> WebhookEvent:
        """Verify a webhook delivery and return its event. Sends no request.

        Args:
            headers: Headers of the request, as any web framework provides them.
            raw_body: Body of the request exactly as received, before any parsing.
            tolerance: Maximum difference between the signature's timestamp and this machine's
                clock, in seconds.

        Raises:
            InvalidWebhook: The headers or the body are not those of a genuine, recent delivery.
            ConfigurationError: The client has no webhook secret.
        """
        return _webhooks.verify(headers, raw_body, self._webhook_secrets, tolerance)

    def with_options(
        self,
        *,
        api_key: str | None = None,
        timeout: float | Timeouts | None = None,
        max_retries: int | None = None,
        idempotency_key: str | None = None,
    ) -> Self:
        """Return a client with other settings that shares this client's connections.

        Closing it leaves this client open.

        Args:
            api_key: Key of another account.
            timeout: Time limit of a whole call in seconds, or ``Timeouts``.
            max_retries: Number of retries after the first attempt.
            idempotency_key: Key of the first split that the new client submits. Further, different
                submissions get the key with ``-2``, ``-3`` and so on appended, in their order.
        """
        session = self._session
        if api_key is not None:
            session = replace(session, key=_settings.api_key(api_key))
        if timeout is not None:
            session = replace(session, timeouts=_settings.timeouts(timeout, session.timeouts))
        if max_retries is not None:
            session = replace(session, max_retries=_settings.max_retries(max_retries))
        if idempotency_key is not None:
            session = replace(session, idempotency_keys=IdempotencyKeys(idempotency_key))
        return self._derive(session)

    def _derive(self, session: Session) -> Self:
        """Return a client with this session and the connections of this client."""
        derived = object.__new__(type(self))
        derived.__dict__.update(self.__dict__)  # a subclass may have attributes of its own
        derived._session, derived._root = session, self._root or self
        return derived

    def _recording(self, on_reply: Callable[[Reply], None]) -> Self:
        """Return a client that passes every reply of the API to a callback."""
        return self._derive(replace(self._session, on_reply=on_reply))

    def _session_with(self, extra_headers: Mapping[str, str] | None) -> Session:
        """Return the session of one call."""
        if not extra_headers:
            return self._session
        headers = _settings.headers(extra_headers, "extra_headers=")
        return self._session.with_headers(headers)

    def _check_open(self, operation: Operation[Any]) -> None:
        """Close the operation and raise ClientClosed if this client or its root is closed."""
        if self._closed or (self._root and self._root._closed):
            operation.close()
            raise ClientClosed

    def __reduce__(self) -> NoReturn:
        raise NotPicklable(
            f"{type(self).__name__}: clients hold a secret and open connections and cannot be"
            " pickled. Create one in each process."
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self._session.base_url!r})"
