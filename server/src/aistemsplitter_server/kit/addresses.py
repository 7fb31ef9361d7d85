"""Which addresses of the network a request made for a user may go to.

What is refused is written out from the IANA's registries of special-purpose addresses, since
``ipaddress`` judges some of them differently from one Python to the next.
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
        "100.64.0.0/10",  # carriers; Alibaba's metadata
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
PUBLIC_V6 = IPv6Network("2000::/3")  # all else is loopback, local, multicast or not given out
REFUSED_V6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, with Teredo's IPv4 addresses in disguise
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: IPv4 addresses in disguise
        "3fff::/20",  # documentation
    )
)
MAPPED = IPv6Network("::ffff:0:0/96")
NAT64 = IPv6Network("64:ff9b::/96")
ISATAP = (0x00005EFE, 0x02005EFE)  # third quarter of an address whose last one is an IPv4 address


def allowed(address: str, exceptions: Iterable[Network] = ()) -> bool:
    """Whether an address, as the resolver wrote it, may be connected to.

    An IPv4 address inside an IPv6 one is judged by what it is. What a NAT64 gateway with a prefix
    of its own makes of an address nobody outside that network can know.

    Args:
        address: numeric.
        exceptions: the operator's networks, allowed whatever they are.
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
    """CIDRs or single addresses, separated by commas, as networks.

    Raises:
        ValueError: one is neither; the text names it.
    """
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def _undisguised(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(address, IPv6Address) and (address in MAPPED or address in NAT64):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address
