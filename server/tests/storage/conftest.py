from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.storage.configured import configured
from aistemsplitter_server.storage.interface import Storage

if TYPE_CHECKING:
    from aistemsplitter_server.storage.s3 import S3Storage

collect_ignore = ["test_s3.py", "test_s3_rules.py"] if find_spec("boto3") is None else []


@pytest.fixture
def storage(stored_on: str, tmp_path: Path) -> Iterator[Storage]:
    """An empty storage, on disk and in a bucket."""
    storage = configured(Settings(data=tmp_path), Secrets(bytes(32)))
    yield storage
    if stored_on == "s3":
        cast("S3Storage", storage).bucket.client.close()


@pytest.fixture
def s3(bucket_address: str, tmp_path: Path) -> Iterator[S3Storage]:
    """An empty storage in a bucket."""
    settings = Settings(data=tmp_path, storage=bucket_address)
    storage = cast("S3Storage", configured(settings, Secrets(bytes(32))))
    yield storage
    storage.bucket.client.close()
