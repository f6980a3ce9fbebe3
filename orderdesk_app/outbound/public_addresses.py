"""Which IP addresses are in the public internet: those that anybody can reach without us."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

# Of the special networks that `is_global` of Python 3.11 calls global, as 3.13 does not
# (https://www.iana.org/assignments/iana-ipv4-special-registry), and one of a cloud's own service.
_NOT_FOR_US = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "192.0.0.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "168.63.129.16/32",  # what Azure tells its machines, keys included
        "240.0.0.0/4",
    )
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NOT_FOR_US_6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # Teredo and other protocols; an IPv4 address may be inside
        "2001:db8::/32",
        "2002::/16",  # 6to4: an IPv4 address is inside
        "3fff::/20",
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the way to IPv4 from a host that has IPv6 alone
_ISATAP = (b"\x00\x00\x5e\xfe", b"\x02\x00\x5e\xfe")  # RFC 5214: an IPv4 address follows


def is_public(text: str) -> bool:
    """Whether the address is of the public internet; False for what is no address.

    An IPv6 address that leads to an IPv4 address is as public as that one.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv4Address):
        return _is_public_4(address)
    if address.scope_id is not None:
        return False
    if address.ipv4_mapped is not None:
        return _is_public_4(address.ipv4_mapped)
    if address in _NAT64:
        return _is_public_4(_last_half(address))
    if address.packed[8:12] in _ISATAP and not _is_public_4(_last_half(address)):
        return False
    return address in _GLOBAL_UNICAST and not any(address in network for network in _NOT_FOR_US_6)


def _is_public_4(address: IPv4Address) -> bool:
    return (
        address.is_global
        and not address.is_multicast
        and not any(address in network for network in _NOT_FOR_US)
    )


def _last_half(address: IPv6Address) -> IPv4Address:
    return IPv4Address(address.packed[12:])
