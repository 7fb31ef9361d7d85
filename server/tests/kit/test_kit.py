from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from unittest.mock import patch

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from aistemsplitter_server.kit import env_file, ids, secrets, settings, times
from aistemsplitter_server.kit.database import Database
from databases import only_sqlite


def test_times() -> None:
    assert times.to_wire(datetime(2026, 5, 3, 10, 20, 30, tzinfo=UTC)) == "2026-05-03T10:20:30.000Z"
    east = timezone(timedelta(hours=2))
    moment = datetime(2026, 5, 3, 0, 0, 0, 1999, tzinfo=east)
    assert times.to_wire(moment) == "2026-05-02T22:00:00.001Z"
    with pytest.raises(ValueError, match="zone"):
        times.to_wire(datetime(2026, 5, 3))


def test_ids() -> None:
    made = [ids.new("split") for _ in range(100)]
    assert len(set(made)) == 100
    assert all(len(identifier) == 32 for identifier in made)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("PORT", "abc", "valid integer"),
        ("PORT", "70000", "65535"),
        ("DATABASE_URL", "mysql://user:hunter2@db/x", "postgresql://"),
        ("DATABASE_URL", "sqlite://", "file"),
        ("STORAGE_FALLBACK", "/var/data", "must be disk, s3://bucket or s3://bucket/prefix"),
        ("STORAGE_FALLBACK", "disk", "is the same as AISTEMSPLITTER_SERVER_STORAGE"),
        ("PROT", "9000", "AISTEMSPLITTER_SERVER_PORT?"),
        ("SOMETHING_ELSE_ALTOGETHER", "1", "no such setting"),
        ("SECRET", "hunter2", "32 bytes in base64"),
        ("SECRET", "hunter2=" * 5, "32 bytes in base64"),
        ("PREVIOUS_SECRET", "hunter2", "32 bytes in base64"),
        ("METRICS_TOKEN", "hunter2", "16 or more"),
        ("LOG_LEVEL", "loud", "'debug', 'info'"),
        ("PUBLIC_URL", "https://example.com/stems", "without a path"),
        ("PACK_MINUTES", "fifty", "JSON"),
        ("PACK_MINUTES", "[50, 0]", "more than 0"),
        ("PACK_PRICES", "[500, 1200]", "2 prices for 3 packs"),
        ("PACK_PRICES", "[500, 0, 1200]", "from 1 to"),
        ("PACK_PRICES", "[500, 1200, 100000000]", "from 1 to"),
        ("CURRENCY", "dollars", "three letters"),
        ("STRIPE_SECRET_KEY", "pk_test_hunter2", "sk_... or rk_..."),
        ("STRIPE_SECRET_KEY", "", "sk_... or rk_..."),
        ("STRIPE_WEBHOOK_SECRET", "whsec_hunter2", "STRIPE_SECRET_KEY is missing"),
        ("STRIPE_API_URL", "http://stripe.example", "https://"),
        ("STRIPE_API_URL", "https://user:hunter2@stripe.example", "https://"),
    ],
)
def test_an_invalid_setting_gives_a_one_line_error(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, reason: str
) -> None:
    monkeypatch.setenv(settings.PREFIX + name, value)
    with pytest.raises(settings.WrongSetting) as caught:
        settings.load()
    line = str(caught.value)
    assert line.startswith(settings.PREFIX + name + ": ")
    assert reason in line
    assert "\n" not in line
    assert "hunter2" not in line


def test_the_keys_of_stripe_come_in_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(settings.PREFIX + "STRIPE_SECRET_KEY", "sk_test_hunter2")
    with pytest.raises(settings.WrongSetting, match="STRIPE_WEBHOOK_SECRET: is missing"):
        settings.load()
    monkeypatch.setenv(settings.PREFIX + "STRIPE_WEBHOOK_SECRET", "hunter2")
    with pytest.raises(settings.WrongSetting, match=r"STRIPE_WEBHOOK_SECRET: .*whsec_"):
        settings.load()
    monkeypatch.setenv(settings.PREFIX + "STRIPE_WEBHOOK_SECRET", "whsec_hunter2")
    made = settings.load()
    assert "hunter2" not in repr(made) + str(made.shown())


def test_currencies_are_lower_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(settings.PREFIX + "CURRENCY", "TWD")
    assert settings.load().currency == "twd"


def test_passwords_are_hidden() -> None:
    made = settings.load(database_url="postgresql://user:hunter2@db/service")
    assert "hunter2" not in repr(made) + str(made.shown()) + repr(Database(made.database))


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """A path for a file of settings; the environment is restored afterwards."""
    with patch.dict(os.environ):
        yield tmp_path / "server.env"


def test_env_file_and_flags(file: Path) -> None:
    file.write_text("AISTEMSPLITTER_SERVER_PORT=9000\nAISTEMSPLITTER_SERVER_HOST=0.0.0.0\n")
    os.environ["AISTEMSPLITTER_SERVER_HOST"] = "127.0.0.2"
    env_file.apply(file)
    assert (settings.load(port=None).port, settings.load().host) == (9000, "127.0.0.2")
    assert settings.load(port=9001).port == 9001


def test_the_env_file_sets_the_engines_variables_and_expands_nothing(file: Path) -> None:
    file.write_text(
        "AISTEMSPLITTER_MODELS_DIR=/srv/models\n"
        "AISTEMSPLITTER_SERVER_DATABASE_URL=postgresql://user:a${b}c@host/name\n"
    )
    os.environ.pop("AISTEMSPLITTER_MODELS_DIR", None)
    env_file.apply(file)
    assert os.environ["AISTEMSPLITTER_MODELS_DIR"] == "/srv/models"
    assert settings.load().database == "postgresql://user:a${b}c@host/name"


def test_a_mistyped_setting_in_the_env_file(file: Path) -> None:
    file.write_text("AISTEMSPLITTER_SERVER_DEMOO=true\nOTHER=1\n")
    env_file.apply(file)
    with pytest.raises(settings.WrongSetting, match="AISTEMSPLITTER_SERVER_DEMO\\?"):
        settings.load()


def test_which_env_file_is_used(tmp_path: Path, file: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    assert env_file.find(None, data) is None
    (tmp_path / ".env").touch()  # in the working directory
    assert env_file.find(None, data) == Path(".env")
    file.touch()
    env_file.remember(file, data)
    assert env_file.find(None, data) == file
    other = tmp_path / "other.env"
    assert env_file.find(other, data) == other
    file.unlink()
    with pytest.raises(env_file.NoEnvFile, match="--env-file"):
        env_file.find(None, data)


def test_the_secret_is_created_once_with_private_permissions(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(secrets.load, [tmp_path / "data"] * 8))
    assert len({one.digest("x") for one in made}) == 1
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["secret"]
    path = tmp_path / "data" / "secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    with pytest.raises(secrets.UnusableSecret, match="chmod 600"):
        secrets.load(tmp_path / "data")
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(secrets.UnusableSecret, match="damaged"):
        secrets.load(tmp_path / "data")


@only_sqlite
def test_sqlite_is_set_up(database: Database) -> None:
    with database.engine.connect() as connection:
        assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
        assert connection.scalar(text("PRAGMA busy_timeout")) == 10000


def test_references_are_checked(database: Database) -> None:
    with pytest.raises(IntegrityError), database.write() as session:
        session.execute(
            text(
                "INSERT INTO credit_entries VALUES"
                " ('ent_1', 'acc_none', 1, 'grant', 1, 1, NULL, '', '2026-01-01')"
            )
        )
