from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from aistemsplitter_server.http import lan
from aistemsplitter_server.http.lan import Identity

NOW = datetime(2026, 5, 3, 10, 20, tzinfo=UTC)
HOME = ["192.168.1.20"]


def public_key(identity: Identity) -> bytes:
    key = identity.certificate.public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def test_the_identity_is_kept_between_starts(tmp_path: Path) -> None:
    first = lan.identity(tmp_path, HOME, NOW)
    assert {"localhost", "127.0.0.1", *HOME} <= set(first.names)
    assert stat.S_IMODE((tmp_path / lan.KEY).stat().st_mode) == 0o600
    assert lan.identity(tmp_path, HOME, NOW + timedelta(days=190)) == first
    assert {each.name for each in tmp_path.iterdir()} == {lan.KEY, lan.CERTIFICATE}
    lan.tls(tmp_path)  # OpenSSL accepts it


def test_it_is_renewed_long_before_it_expires(tmp_path: Path) -> None:
    first = lan.identity(tmp_path, HOME, NOW)
    later = NOW + timedelta(days=200)
    renewed = lan.identity(tmp_path, HOME, later)
    assert renewed.certificate.not_valid_after_utc > later + timedelta(days=390)
    assert first.certificate.not_valid_after_utc > later + timedelta(days=190)
    assert renewed.fingerprint != first.fingerprint
    assert public_key(renewed) == public_key(first)


def test_it_names_new_addresses_and_those_of_former_networks(tmp_path: Path) -> None:
    first = lan.identity(tmp_path, HOME, NOW)
    travelling = lan.identity(tmp_path, ["10.0.0.7"], NOW)
    assert {"10.0.0.7", *HOME} <= set(travelling.names)
    assert public_key(travelling) == public_key(first)
    assert lan.identity(tmp_path, HOME, NOW) == travelling
    seen = [lan.identity(tmp_path, [f"10.0.1.{number}"], NOW) for number in range(lan.MOST_NAMES)]
    assert len(seen[-1].names) == lan.MOST_NAMES
    assert f"10.0.1.{lan.MOST_NAMES - 1}" in seen[-1].names


@pytest.mark.parametrize("name", [lan.KEY, lan.CERTIFICATE])
@pytest.mark.parametrize("content", [None, b"", b"no PEM"])
def test_damaged_files_are_replaced(tmp_path: Path, name: str, content: bytes | None) -> None:
    lan.identity(tmp_path, HOME, NOW)
    (tmp_path / name).unlink() if content is None else (tmp_path / name).write_bytes(content)
    made = lan.identity(tmp_path, HOME, NOW)
    assert lan.identity(tmp_path, HOME, NOW) == made
    lan.tls(tmp_path)


def test_the_key_of_another_certificate(tmp_path: Path) -> None:
    lan.identity(tmp_path, HOME, NOW)
    certificate = (tmp_path / lan.CERTIFICATE).read_bytes()
    (tmp_path / lan.KEY).unlink()
    lan.identity(tmp_path, HOME, NOW)
    (tmp_path / lan.CERTIFICATE).write_bytes(certificate)
    lan.identity(tmp_path, HOME, NOW)
    lan.tls(tmp_path)


def test_addresses_are_those_that_others_can_reach() -> None:
    for address in lan.addresses():
        assert not address.startswith(("127.", "169.254."))
