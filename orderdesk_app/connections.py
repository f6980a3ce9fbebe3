"""What the kernel holds for connections: how many descriptors there are, how many connections they
allow, how long one may stall, and which of them has a given peer.
"""

import contextlib
import os
import socket
import sys
from collections.abc import Sequence
from ipaddress import ip_address

if sys.platform != "win32":
    import resource

# Enough for the largest numbers below; more would only let a stranger hold more.
WANTED_DESCRIPTORS = 8192
MOST_CONNECTIONS = 4096
MOST_WEBSOCKETS = 500
# A peer that takes nothing of its answer for so long is disconnected by the kernel.
STALLED_SECONDS = 60
# After so long without a byte the kernel asks whether the peer is still there.
QUIET_SECONDS = 60
_ASK_AGAIN_SECONDS = 15
_MOST_QUESTIONS = 4


def raise_descriptor_limit() -> None:
    """Let this process and those that it starts open `WANTED_DESCRIPTORS` files and connections, or
    as many as the system allows. Many systems start a process with 1,024, and some with 256.
    """
    if sys.platform == "win32":
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_DESCRIPTORS
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # macOS refuses more than it has
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def descriptor_limit() -> int:
    """How many descriptors a process may have."""
    if sys.platform == "win32":
        return WANTED_DESCRIPTORS
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return WANTED_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft


def most_connections() -> int:
    """Of one worker: half of its descriptors. The others are for websockets, for files, and for our
    own connections to the database and to Order Desk.
    """
    return max(16, min(MOST_CONNECTIONS, descriptor_limit() // 2))


def most_websockets() -> int:
    """Of one worker, beside its connections."""
    return max(4, min(MOST_WEBSOCKETS, descriptor_limit() // 8))


def limit_stalls(listener: int) -> None:
    """Set the kernel's time limits on a listening socket, by its descriptor. On Linux each of its
    connections inherits them; elsewhere nothing is done.
    """
    if sys.platform != "linux":
        return
    with socket.socket(fileno=os.dup(listener)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (
            (socket.TCP_KEEPIDLE, QUIET_SECONDS),
            (socket.TCP_KEEPINTVL, _ASK_AGAIN_SECONDS),
            (socket.TCP_KEEPCNT, _MOST_QUESTIONS),
            (socket.TCP_USER_TIMEOUT, STALLED_SECONDS * 1000),
        ):
            listening.setsockopt(socket.IPPROTO_TCP, option, value)


def own_connection(address: tuple[str, int | str] | None) -> socket.socket | None:
    """A second descriptor of this process's connection with that address at its other end, to be
    closed by the caller. None where there is none, and where the system does not list descriptors.
    """
    if address is None:
        return None
    try:
        wanted = _end(address)
        names = os.listdir("/dev/fd")
    except (OSError, ValueError):  # Windows; no address but a name
        return None
    for name in names:
        try:
            # Looked at, and not closed: it is the server's. An address of IPv4 fits too.
            seen = socket.socket(socket.AF_INET6, socket.SOCK_STREAM, 0, fileno=int(name))
        except OSError:
            continue
        try:
            peer = seen.getpeername()
            if isinstance(peer, tuple) and _end(peer) == wanted:
                return seen.dup()
        except (OSError, ValueError):
            continue  # a file, a socket that listens, or one of another kind
        finally:
            seen.detach()
    return None


def _end(address: Sequence[object]) -> tuple[object, int]:
    """Host and port, however they are written: granian gives the port as text."""
    return ip_address(str(address[0]).partition("%")[0]), int(str(address[1]))
