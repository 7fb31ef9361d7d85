"""The storage that the settings choose, and those at other addresses."""

from __future__ import annotations

from importlib.util import find_spec

from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.setting_types import DISK
from aistemsplitter_server.kit.settings import PREFIX, Settings, WrongSetting
from aistemsplitter_server.storage.fallback import FallbackStorage
from aistemsplitter_server.storage.interface import Storage
from aistemsplitter_server.storage.local import LocalStorage


def configured(settings: Settings, secrets: Secrets) -> Storage:
    """Return the storage. Its URLs begin with the settings' base.

    Raises:
        WrongSetting: A bucket is set, but boto3 is not installed.
    """
    storage = at(settings.storage_address, settings, secrets)
    if settings.storage_fallback is None:
        return storage
    return FallbackStorage(storage, at(settings.storage_fallback, settings, secrets))


def at(address: str, settings: Settings, secrets: Secrets) -> Storage:
    """Return the storage at an address, ``disk`` or ``s3://...``.

    Raises:
        WrongSetting: It is a bucket, but boto3 is not installed.
    """
    if address == DISK:
        return LocalStorage(settings.data, secrets, settings.base_url)
    require_boto3()
    # imported here, since it takes 0.4 s and only services with a bucket need it
    from aistemsplitter_server.storage import s3
    from aistemsplitter_server.storage.s3_bucket import bucket
    from aistemsplitter_server.storage.s3_direct import S3DirectUploads

    target = bucket(address, settings)
    return s3.S3Storage(
        target,
        secrets,
        settings.base_url,
        settings.data / s3.SCRATCH,
        settings.upload_limit,
        None if settings.storage_proxy else S3DirectUploads(target, settings.upload_limit),
    )


def require_boto3() -> None:
    """Check that boto3 is installed.

    Raises:
        WrongSetting: It is not.
    """
    if find_spec("boto3") is None:
        raise WrongSetting(f"{PREFIX}STORAGE: needs boto3: pip install 'aistemsplitter-server[s3]'")
