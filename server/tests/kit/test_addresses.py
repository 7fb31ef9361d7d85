from __future__ import annotations

import pytest

from aistemsplitter_server.kit import addresses


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.100.100.200",
        "127.0.0.1",
        "127.8.8.8",
        "168.63.129.16",
        "169.254.169.254",
        "172.31.0.1",
        "192.0.0.192",
        "192.168.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:a9fe:a9fe",
        "64:ff9b::7f00:1",
        "64:ff9b:1::808:808",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2606:4700::5efe:7f00:1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "2606:4700::1111%eth0",
        "ff02::1",
        "no address",
    ],
)
def test_forbidden_addresses(address: str) -> None:
    assert not addresses.allowed(address)


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"],
)
def test_public_addresses(address: str) -> None:
    assert addresses.allowed(address)


def test_allowed_private_networks() -> None:
    home = addresses.networks(" 192.168.1.0/24, 127.0.0.1,fd00::/8,")
    assert addresses.allowed("192.168.1.7", home)
    assert addresses.allowed("::ffff:127.0.0.1", home)
    assert addresses.allowed("fd00::1", home)
    assert not addresses.allowed("192.168.2.7", home)
    assert not addresses.allowed("127.0.0.2", home)
    with pytest.raises(ValueError, match=r"192\.168\.1\.1/24"):
        addresses.networks("192.168.1.1/24")
