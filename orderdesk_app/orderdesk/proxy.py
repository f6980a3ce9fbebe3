"""The proxy between us and Order Desk: which variable of the environment names it, and where it is.

httpx reads these variables by itself (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, in capitals
or small letters). Here they are read by the same rules, to name the one that is in force.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies

_BY_THE_SYSTEM = "the system's settings"
_LONGEST_ADDRESS = 200


@dataclass(frozen=True, slots=True)
class Proxy:
    """`variable` is its name as it is set; `address` is host and port, without credentials."""

    variable: str
    address: str

    def __str__(self) -> str:
        where = f" ({self.address})" if self.address else ""
        return f"the proxy of {self.variable}{where}"


def proxy_for(url: str) -> Proxy | None:
    """The proxy that calls to this address go through; None where they go directly."""
    called = urlsplit(url)
    proxies = getproxies()
    scheme = called.scheme if proxies.get(called.scheme) else "all"
    given = proxies.get(scheme)
    if not given or _is_bypassed(called, proxies.get("no", "")):
        return None
    return Proxy(_variable(f"{scheme}_proxy", os.environ), _address(given))


def unusable_proxy() -> str | None:
    """The variable whose proxy is of a kind that httpx cannot use, such as SOCKS."""
    for scheme in ("http", "https", "all"):
        given = getproxies().get(scheme, "")
        if "://" in given and not given.lower().startswith(("http://", "https://")):
            return _variable(f"{scheme}_proxy", os.environ)
    return None


def _variable(name: str, environment: Mapping[str, str]) -> str:
    """Its name as it is set: small letters win, as urllib has it."""
    if environment.get(name):
        return name
    return next((key for key in environment if key.lower() == name), _BY_THE_SYSTEM)


def _address(given: str) -> str:
    """Host and port alone."""
    try:
        found = urlsplit(given if "://" in given else f"http://{given}")
        host, port = found.hostname or "", found.port
    except ValueError:
        return ""
    host = f"[{host}]" if ":" in host else host
    return (f"{host}:{port}" if port else host)[:_LONGEST_ADDRESS]


def _is_bypassed(called: SplitResult, no_proxy: str) -> bool:
    return any(_leaves_out(entry.strip(), called) for entry in no_proxy.split(","))


def _leaves_out(entry: str, called: SplitResult) -> bool:
    """Whether an entry of NO_PROXY names this address: `*`, a host with all that is beneath it
    (beneath alone with a dot in front), an IP address; with a port or a scheme or without.
    """
    if entry in ("", "*"):
        return entry == "*"
    scheme, _, rest = entry.rpartition("://")
    if scheme not in ("", "all", called.scheme):
        return False
    host = rest.split("/")[0].lower()
    if _is_ip(host):
        return host == called.hostname
    name, _, port = host.partition(":")
    if port and port != str(called.port or ""):
        return False
    if scheme or name == "localhost":
        beneath = r".+\." if name.startswith("*.") else r"(.+\.)?" if name.startswith("*") else ""
        name = name.lstrip("*.") if beneath else name
    else:
        beneath = r".+\." if name.startswith(".") else r"(.+\.)?"
        name = name.removeprefix(".")
    return re.fullmatch(beneath + re.escape(name), called.hostname or "") is not None


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
