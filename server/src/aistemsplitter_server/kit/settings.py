"""The settings, from the environment (``AISTEMSPLITTER_SERVER_*``) or flags.

The environment may come from a file (see ``env_file.py``).
"""

from __future__ import annotations

import os
import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import make_url

from aistemsplitter_server.kit.setting_types import (
    DISK,
    BearerToken,
    Bucket,
    Currency,
    DatabaseUrl,
    Endpoint,
    Networks,
    Origins,
    Packs,
    PublicUrl,
    ServerSecret,
    StorageAddress,
    StripeKey,
    StripeUrl,
    listed,
)

PREFIX = "AISTEMSPLITTER_SERVER_"
FOREVER = 36_500  # days
HIGHEST_PRICE = 99_999_999  # the highest that Stripe accepts


class WrongSetting(Exception):
    """A setting is wrong; the text is one line that names it and says why."""


class Settings(BaseSettings):
    """The operator's settings. The repr hides the database URL, which contains a password."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    data: Path = Field(
        Path("aistemsplitter-data"), description="folder of the database and the secrets"
    )
    database_url: DatabaseUrl | None = Field(
        None, repr=False, description="SQLAlchemy URL; by default a SQLite file in the data folder"
    )
    storage: Bucket | None = Field(
        None,
        description="S3 bucket of songs and stems, s3://bucket or s3://bucket/prefix; by default a"
        " folder in the data folder. Its credentials are AWS's own variables, files or roles",
    )
    storage_endpoint: Endpoint | None = Field(
        None, description="URL of an S3 service other than AWS, such as https://s3.example.com"
    )
    storage_region: str | None = Field(None, description="region of the bucket")
    storage_path_style: bool | None = Field(
        None,
        description="whether the bucket is in the path of URLs (true) or in the host (false);"
        " by default in the path if there is a STORAGE_ENDPOINT",
    )
    storage_proxy: bool = Field(
        False, description="send uploads and downloads through the API, never directly"
    )
    storage_fallback: StorageAddress | None = Field(
        None,
        description="storage before `STORAGE`, where files that are missing there are read while"
        " `storage migrate` moves them: s3://bucket, s3://bucket/prefix or disk",
    )
    secret: ServerSecret | None = Field(
        None,
        description="the server's secret for processes on several machines, 32 bytes in base64;"
        " by default a file in the data folder",
    )
    previous_secret: ServerSecret | None = Field(
        None,
        validate_default=True,
        description="the secret before `SECRET`, accepted while that is being replaced",
    )
    host: str = Field("127.0.0.1", description="address that the API listens on")
    port: int = Field(8000, ge=0, le=65535, description="port that the API listens on; 0: any")
    lan: bool = Field(
        False,
        description="whether `up` also serves other devices on the local network, over https with"
        " a certificate of its own",
    )
    lan_port: int = Field(8443, ge=0, le=65535, description="port of `LAN`; 0: any")
    json_body_limit: int = Field(1 << 20, ge=1024, description="largest JSON body, bytes")
    public_url: PublicUrl | None = Field(
        None, description="base of the service's URLs; by default the host that clients call"
    )
    metrics_token: BearerToken | None = Field(
        None,
        description="bearer token for `/metrics`, at least 16 characters; without it `/metrics`"
        " answers 401",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="lowest level of the lines in the log"
    )
    upload_limit: int = Field(2 << 30, ge=1, description="largest uploaded file, bytes")
    upload_url_seconds: int = Field(3600, ge=1, description="seconds in which an upload can begin")
    download_url_seconds: int = Field(3600, ge=1, description="seconds that a download URL works")
    fetch_seconds: int = Field(
        900, ge=1, description="seconds that fetching a song from its URL may take"
    )
    engine_silence_seconds: int = Field(
        300, ge=10, description="seconds without progress after which a split is retried"
    )
    worker_metrics_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="port of a worker's own /healthz and /metrics; none by default",
    )
    worker_metrics_host: str = Field(
        "127.0.0.1", description="address of that port; 0.0.0.0 in a container"
    )
    device: str | None = Field(
        None,
        pattern=r"^(cpu|mps|cuda(:[0-9]{1,4})?)$",
        description="device that a worker separates on: cpu, cuda, cuda:1 or mps; a worker without"
        " it does not start. By default a GPU if there is one, else the CPU",
    )
    worker_songs: int | None = Field(
        None,
        ge=1,
        le=16,
        description="songs that a worker separates at the same time; by default 2 on a GPU with at"
        " least 4 cores beside it, else 1",
    )
    max_duration_seconds: int = Field(12 * 3600, ge=1, description="longest song, seconds")
    measure_seconds: int = Field(
        600, ge=1, description="seconds of processor time for decoding a song"
    )
    retention_hours: int = Field(
        72, ge=1, description="hours that stems and uploaded songs are kept"
    )
    keep_days: int = Field(
        365,
        ge=0,
        le=FOREVER,
        description="days that a song is kept after a user chose to keep it in the studio; 0 turns"
        " this off",
    )
    audit_retention_days: int = Field(
        365, ge=1, le=FOREVER, description="days that entries of the audit log are kept"
    )
    delivery_retention_days: int = Field(
        30, ge=1, le=FOREVER, description="days that ended webhook deliveries are kept for replays"
    )
    event_retention_days: int = Field(
        30,
        ge=1,
        le=FOREVER,
        description="days that webhook events are kept; at least as long as their deliveries",
    )
    upload_retention_days: int = Field(
        30, ge=0, le=FOREVER, description="days that rows of deleted uploads are kept"
    )
    listening_retention_days: int = Field(
        7, ge=0, le=FOREVER, description="days that rows of deleted listening copies are kept"
    )
    share_retention_days: int = Field(
        30, ge=0, le=FOREVER, description="days that expired share links are kept"
    )
    link_retention_days: int = Field(
        30,
        ge=0,
        le=FOREVER,
        description="days that expired invitations and password links are kept",
    )
    receiver_retention_days: int = Field(
        90, ge=1, le=FOREVER, description="days that unused webhook URLs are remembered"
    )
    purchase_retention_days: int = Field(
        90, ge=7, le=FOREVER, description="days that unpaid purchases are kept"
    )
    session_retention_days: int = Field(
        0, ge=0, le=FOREVER, description="days that ended sessions are kept"
    )
    job_retention_days: int = Field(
        1, ge=1, le=FOREVER, description="days that ended jobs stay in the queue's tables"
    )
    demo: bool = Field(
        False, description="htdemucs_tiny replaces four-stem models that are not installed"
    )
    offline: bool = Field(False, description="do not download models' weights")
    rate_limit_per_minute: int = Field(
        600, ge=0, description="requests per minute of a key; 0 means no limit"
    )
    account_stored_bytes: int = Field(
        100 << 30,
        ge=0,
        description="bytes of songs and stems that an account may store; 0 means no limit",
    )
    account_open_uploads: int = Field(
        100, ge=0, description="unfinished uploads of an account; 0 means no limit"
    )
    account_queued_splits: int = Field(
        1000, ge=0, description="queued splits of an account; 0 means no limit"
    )
    account_queued_test_splits: int = Field(
        50, ge=0, description="queued splits of its test keys; 0 means no limit"
    )
    account_keys: int = Field(100, ge=0, description="API keys of an account; 0 means no limit")
    account_streams: int = Field(
        200, ge=0, description="event streams of an account per API process; 0 means no limit"
    )
    account_requests_per_minute: int = Field(
        1800, ge=0, description="requests per minute of all keys of an account; 0 means no limit"
    )
    account_concurrent_fetches: int = Field(
        2, ge=0, description="songs of an account that a worker fetches at a time; 0 means no limit"
    )
    account_webhook_endpoints: int = Field(
        16, ge=0, description="webhook endpoints of an account; 0 means no limit"
    )
    cors_origins: Origins = Field(
        "", description="origins of web pages that may call the API, separated by commas, or *"
    )
    hsts_seconds: int = Field(
        0, ge=0, description="seconds for which browsers must use https (HSTS); 0 sends no header"
    )
    free_minutes: int = Field(
        10, ge=0, description="minutes of credit that a new account starts with"
    )
    pack_minutes: Packs = Field((50, 150, 500), description="sizes of credit packs")
    pack_prices: tuple[int, ...] = Field(
        (),
        validate_default=True,
        description="their prices in the currency's smallest unit; empty if packs are not for sale",
    )
    currency: Currency = Field("usd", description="currency of the prices, three letters")
    stripe_secret_key: StripeKey | None = Field(
        None, description="secret key of the Stripe account that receives payments"
    )
    stripe_webhook_secret: SecretStr | None = Field(
        None, validate_default=True, description="signing secret of Stripe's webhook endpoint"
    )
    stripe_api_url: StripeUrl = Field(
        "https://api.stripe.com", description="base URL of Stripe's API"
    )
    allow_private_networks: Networks = Field(
        "", description="private networks that users' URLs may lead to: CIDRs, separated by commas"
    )

    @field_validator("storage_fallback")
    @classmethod
    def _other_than_the_storage(cls, address: str | None, info: ValidationInfo) -> str | None:
        if address is not None and address == (info.data.get("storage") or DISK):
            raise ValueError(f"is the same as {PREFIX}STORAGE; remove it")
        return address

    @field_validator("previous_secret")
    @classmethod
    def _beside_a_secret(cls, secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if secret is not None and info.data.get("secret", secret) is None:
            raise ValueError(f"has no effect: {PREFIX}SECRET is missing")
        return secret

    @field_validator("pack_prices")
    @classmethod
    def _price_of_each(cls, prices: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        if any(not 0 < price <= HIGHEST_PRICE for price in prices):
            raise ValueError(f"every price must be from 1 to {HIGHEST_PRICE}")
        packs = info.data.get("pack_minutes", prices)
        if prices and len(prices) != len(packs):
            raise ValueError(f"there are {len(prices)} prices for {len(packs)} packs")
        return prices

    @field_validator("stripe_webhook_secret")
    @classmethod
    def _both_or_neither(cls, secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if "stripe_secret_key" not in info.data:
            return secret  # that key is invalid itself, with an error of its own
        key = info.data["stripe_secret_key"]
        if secret is None and key is not None:
            raise ValueError(f"is missing, while {PREFIX}STRIPE_SECRET_KEY is set")
        if secret is not None and key is None:
            raise ValueError(f"has no effect: {PREFIX}STRIPE_SECRET_KEY is missing")
        if secret is not None and not re.fullmatch(r"whsec_\S+", secret.get_secret_value()):
            raise ValueError("must be the signing secret of the endpoint, whsec_...")
        return secret

    @property
    def origins(self) -> list[str]:
        """The origins of web pages that may call the API."""
        return listed(self.cors_origins)

    @property
    def database(self) -> str:
        """The URL of the database in use."""
        return self.database_url or f"sqlite:///{self.data / 'service.db'}"

    @property
    def storage_address(self) -> str:
        """The storage in use: ``disk``, ``s3://bucket`` or ``s3://bucket/prefix``."""
        return self.storage or DISK

    @property
    def sqlite_file(self) -> Path | None:
        """The path of the database if it is a SQLite file."""
        url = make_url(self.database)
        return Path(str(url.database)) if url.get_backend_name() == "sqlite" else None

    @property
    def base_url(self) -> str:
        """The base of our URLs where there is no request to take it from."""
        if self.public_url is not None:
            return self.public_url
        everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # clients cannot connect to these
        host = everywhere.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def page_url(self) -> str:
        """The URL of the pages. Without https, browsers keep a session on localhost only."""
        return self.base_url.replace("http://127.0.0.1:", "http://localhost:")

    def shown(self) -> dict[str, str]:
        """Return every setting as text, passwords hidden."""
        values = {name: str(value) for name, value in self.model_dump(mode="json").items()}
        values["database_url"] = make_url(self.database).render_as_string(hide_password=True)
        return values


def _refuse_unknown() -> None:
    """Refuse unknown names, so that a mistyped setting is noticed."""
    known = [PREFIX + field.upper() for field in Settings.model_fields]
    for name in os.environ:
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            like = get_close_matches(name.upper(), known, n=1)
            hint = f"; did you mean {like[0]}?" if like else ""
            raise WrongSetting(f"{name}: there is no such setting{hint}")


def default_data() -> Path:
    """Return the data folder that the environment names, or the default one."""
    named = {name.upper(): value for name, value in os.environ.items()}.get(f"{PREFIX}DATA")
    default: Path = Settings.model_fields["data"].default
    return Path(named) if named else default


def load(**flags: Any) -> Settings:
    """Return the settings in force. Flags that are None are ignored.

    Raises:
        WrongSetting: A setting is wrong or unknown; it names the first one.
    """
    from pydantic_settings import SettingsError

    _refuse_unknown()
    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False)[0]
        name = PREFIX + str(fault["loc"][0]).upper()
        reason = fault["msg"].removeprefix("Value error, ")
        raise WrongSetting(f"{name}: {reason}") from None
    except SettingsError as error:
        field = str(error).split('"')[1]
        raise WrongSetting(f"{PREFIX}{field.upper()}: is not valid JSON") from None
