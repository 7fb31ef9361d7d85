"""HTTPS on the local network (``up --lan``): its addresses, and a self-signed certificate.

Browsers keep a sign-in only over https, and no public authority signs for private addresses. They
warn once on each device; the certificate is kept as long as possible, so that they do not again.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv4Address, ip_address
from pathlib import Path

import psutil
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from aistemsplitter_server.kit import files

LIFETIME = timedelta(days=397)  # Apple's systems refuse certificates that are valid much longer
RENEWAL = LIFETIME / 2  # time left at which a start renews it
SKEW = timedelta(days=1)  # how far a device's clock may be behind
MOST_NAMES = 30  # in a certificate, of this and of former networks
LOOPBACK = "127.0.0.1"
ELSEWHERE = ("192.0.2.1", 9)  # an address of no network, to find the route there; nothing is sent
HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", re.IGNORECASE)

CERTIFICATE = "lan-certificate.pem"  # in the data folder
KEY = "lan-key.pem"


@dataclass(frozen=True)
class Identity:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(compare=False)

    @property
    def names(self) -> list[str]:
        """The host names and addresses that it is valid for."""
        found = self.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        return [str(name.value) for name in found.value]

    @property
    def fingerprint(self) -> str:
        """The SHA-256 fingerprint as browsers show it."""
        return self.certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def addresses() -> list[str]:
    """Return this machine's IPv4 addresses on its networks, that of the default route first."""
    active = {name for name, state in psutil.net_if_stats().items() if state.isup}
    found = {
        IPv4Address(entry.address)
        for name, entries in psutil.net_if_addrs().items()
        for entry in entries
        if name in active and entry.family == socket.AF_INET
    }
    usable = [each for each in found if not (each.is_loopback or each.is_link_local)]
    first = _default_address()
    return [str(each) for each in sorted(usable, key=lambda each: (str(each) != first, each))]


def identity(data: Path, networks: Sequence[str], now: datetime) -> Identity:
    """Return the identity stored in the data folder, created or renewed if necessary.

    It is renewed if it lacks one of this machine's names or addresses or is in the second half of
    its life. The key stays the same.

    Args:
        networks: This machine's addresses on its networks.
    """
    host = socket.gethostname().partition(".")[0]
    hosts = [host, f"{host}.local"] if HOST_NAME.fullmatch(host) else []
    wanted = ["localhost", *hosts, LOOPBACK, *networks]
    stored = _stored(data)
    if stored is not None and _is_current(stored, wanted, now):
        return stored
    key = _stored_key(data) or ec.generate_private_key(ec.SECP256R1())
    before = stored.names if stored is not None else []
    names = list(dict.fromkeys([*wanted, *before]))[: max(MOST_NAMES, len(wanted))]
    made = Identity(_signed(key, names, now), key)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    files.write_private(data / KEY, private)
    files.write_private(
        data / CERTIFICATE, made.certificate.public_bytes(serialization.Encoding.PEM)
    )
    return made


def tls(data: Path) -> ssl.SSLContext:
    """Return the context of a server with the identity stored in the data folder."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(data / CERTIFICATE, data / KEY)
    return context


def _default_address() -> str | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(ELSEWHERE)
        except OSError:
            return None
        return str(probe.getsockname()[0])


def _is_current(identity: Identity, wanted: Sequence[str], now: datetime) -> bool:
    is_young = identity.certificate.not_valid_after_utc - now > RENEWAL
    return is_young and set(wanted) <= set(identity.names)


def _stored(data: Path) -> Identity | None:
    """Return the stored identity, unless it is missing, damaged or not that of the key."""
    key = _stored_key(data)
    if key is None:
        return None
    try:
        certificate = x509.load_pem_x509_certificate((data / CERTIFICATE).read_bytes())
        found = Identity(certificate, key)
        return found if certificate.public_key() == key.public_key() and found.names else None
    except (FileNotFoundError, ValueError, x509.ExtensionNotFound):
        return None


def _stored_key(data: Path) -> ec.EllipticCurvePrivateKey | None:
    try:
        key = serialization.load_pem_private_key((data / KEY).read_bytes(), password=None)
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return key if isinstance(key, ec.EllipticCurvePrivateKey) else None


def _signed(
    key: ec.EllipticCurvePrivateKey, names: Sequence[str], now: datetime
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "AI Stem Splitter")])
    public = key.public_key()
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = x509.CertificateBuilder(issuer_name=subject, subject_name=subject)
    return (
        builder.public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now - SKEW + LIFETIME)
        .add_extension(x509.SubjectAlternativeName([_name(each) for each in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
