"""One interface to the synchronous client and to the asynchronous client on asyncio and trio."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

import anyio

from aistemsplitter import AiStemSplitter, AsyncAiStemSplitter

KEY = "ast_test_topsecret"
CERTIFICATES = ssl.create_default_context()  # trusted by the clients of all tests


class Runner:
    """A client of either kind, whose methods are called the same way."""

    def __init__(self, kind: str, **options: Any) -> None:
        self._kind = kind
        self._options = {"api_key": KEY, **options}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self._kind == "sync":
                with AiStemSplitter(**self._options) as client:
                    return getattr(client, name)(*args, **kwargs)

            async def main() -> Any:
                async with AsyncAiStemSplitter(**self._options) as client:
                    return await getattr(client, name)(*args, **kwargs)

            return anyio.run(main, backend=self._kind)

        return call
