"""The network addresses that requests to user-supplied URLs may connect to.

What is refused is listed from IANA's registries of special-purpose addresses, since ``ipaddress``
classifies some of them differently from one version of Python to the next.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network

REFUSED_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; Alibaba's metadata
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's own host, which looks like a public address
        "169.254.0.0/16",  # link-local; the clouds' metadata
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments; Oracle's metadata
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
PUBLIC_V6 = IPv6Network("2000::/3")  # all others are loopback, local, multicast or unassigned
REFUSED_V6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, with Teredo's embedded IPv4 addresses
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, with embedded IPv4 addresses
        "3fff::/20",  # documentation
    )
)
MAPPED = IPv6Network("::ffff:0:0/96")
NAT64 = IPv6Network("64:ff9b::/96")
# third quarter of an address whose last quarter is an IPv4 address
ISATAP = (0x00005EFE, 0x02005EFE)


def allowed(address: str, exceptions: Iterable[Network] = ()) -> bool:
    """Return whether requests for users may connect to an address.

    An IPv4 address embedded in an IPv6 address is judged as itself, except behind a NAT64 gateway
    with its own prefix, which cannot be known outside its network.

    Args:
        address: A numeric address, as the resolver returned it.
        exceptions: The operator's networks, which are always allowed.
    """
    try:
        inner = _undisguised(ip_address(address))
    except ValueError:
        return False
    if any(inner in network for network in exceptions if network.version == inner.version):
        return True
    if isinstance(inner, IPv4Address):
        return not any(inner in network for network in REFUSED_V4)
    if inner.scope_id or (int(inner) >> 32 & 0xFFFFFFFF) in ISATAP:
        return False
    return inner in PUBLIC_V6 and not any(inner in network for network in REFUSED_V6)


def networks(text: str) -> tuple[Network, ...]:
    """Return CIDRs and single addresses, separated by commas, as networks.

    Raises:
        ValueError: One of them is neither; the text names it.
    """
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def _undisguised(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(address, IPv6Address) and (address in MAPPED or address in NAT64):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address
