"""Which redirect URIs an OAuth client may have, and when one that it asks for is one of its own.

The rules are RFC 8252 (native apps), RFC 9700 section 4.1 and OAuth 2.1: exact comparison, but
for the port of a loopback address.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address

LONGEST = 2000
MOST = 20  # of one client
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})

# Schemes that run code, read files, or start a program of the system with words of the caller's.
# Somebody who approves an app must not be led to one of them. Other protocols of the web are
# redirected to by no client.
_FORBIDDEN_WORDS = """
    javascript livescript mocha vbscript data blob file filesystem about view-source jar mhtml mk
    cid mid res resource chrome chrome-extension chrome-search chrome-untrusted devtools edge
    moz-extension moz-icon safari-extension safari-web-extension extension wyciwyg feed pcast
    intent android-app android-intent ios-app market itms itms-apps itms-services app-settings
    prefs shell search search-ms ldap ldaps smb cifs nfs afp ftp ftps sftp tftp ssh telnet tn3270
    rlogin rdp vnc mailto news nntp snews tel sms smsto mms callto facetime facetime-audio
    sip sips ws wss gopher wais irc ircs git svn magnet urn tag ipfs ipns dns help help-ms
    hcp jnlp jnlps steam terminal x-man-page applescript ps powershell cmd calculator
    its dav davs webdav webdavs
    windows.immersivecontrolpanel microsoft-edge onenote outlookfeed knownfolder
"""
_FORBIDDEN = frozenset(_FORBIDDEN_WORDS.split())
_FORBIDDEN_FAMILIES = ("ms-", "x-apple", "x-javascript", "chrome-", "moz-", "http", "view-")

# The characters of RFC 3986: no control character, space, quote, backslash or letter of another
# alphabet, so that no two readers can differ about where the host ends.
_CHARACTERS = re.compile(r"(?:[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+", re.ASCII)
_HIDDEN_CONTROLS = re.compile(r"%(?:[01][0-9A-Fa-f]|7[Ff]|5[Cc])", re.ASCII)
_PARTS = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{0,79}):"
    r"(?P<authority>//(?P<host>\[[0-9A-Fa-f:.]+\]|[^/?\[\]:]*)(?::(?P<port>[0-9]*))?(?=[/?]|$))?"
    r"(?P<path>[^?]*)(?P<query>\?.*)?",
    re.ASCII,
)
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]", re.ASCII)


class RedirectKind(StrEnum):
    """Where a redirect leads: a page of a site, a program on the user's machine, or an app."""

    WEB = "web"
    LOOPBACK = "loopback"
    APP = "app"


@dataclass(frozen=True, slots=True)
class RedirectUri:
    """One that a client may have. `host` is in small letters and without a port; of an app's own
    scheme it may be empty. `scheme` is in small letters.
    """

    text: str
    kind: RedirectKind
    scheme: str
    host: str
    port: str
    path: str
    query: str

    @property
    def shown(self) -> str:
        """What a person is told of where the answer goes: a host, or the scheme of an app."""
        return f"{self.scheme}:" if self.kind is RedirectKind.APP else self.host

    @property
    def source(self) -> str:
        """What a content security policy lets a form be redirected to: that origin, or that scheme.

        It cannot name an IPv6 address (CSP 3, host-source): there the scheme is all it can say.
        """
        if self.kind is RedirectKind.APP or self.host.startswith("["):
            return f"{self.scheme}:"
        return f"{self.scheme}://{self.host}{f':{self.port}' if self.port else ''}"


def read_redirect(text: str) -> RedirectUri | str:
    """The redirect URI, or a sentence that says why no client may have it."""
    if len(text) > LONGEST:
        return f"A redirect URI has at most {LONGEST} characters."
    if "#" in text:
        return "A redirect URI has no fragment (#)."
    if "*" in text:  # a character as any other, but nobody means it so
        return "A redirect URI is one whole address: no wildcard (*) is filled in."
    if not _CHARACTERS.fullmatch(text) or _HIDDEN_CONTROLS.search(text):
        return "A redirect URI has only the characters of RFC 3986, and no control character."
    found = _PARTS.fullmatch(text)
    if found is None:
        return "A redirect URI is an absolute address: https://, http://127.0.0.1 or an app's own."
    scheme = found["scheme"].lower()
    uri = RedirectUri(
        text,
        RedirectKind.APP,
        scheme,
        (found["host"] or "").lower(),
        found["port"] or "",
        found["path"],
        found["query"] or "",
    )
    return _web(uri, found) if scheme in ("http", "https") else _app(uri, found)


def is_allowed_redirect(text: str) -> bool:
    return isinstance(read_redirect(text), RedirectUri)


def matching_redirect(registered: Iterable[str], wanted: str) -> RedirectUri | None:
    """The wanted redirect URI if it is one of the client's own.

    They are compared as they are. A loopback address may have any port, as a program listens at one
    that is free when it starts (RFC 8252 section 7.3).
    """
    asked = read_redirect(wanted)
    if not isinstance(asked, RedirectUri):
        return None
    for text in registered:
        own = read_redirect(text)
        if isinstance(own, RedirectUri) and _is_same(own, asked):
            return asked
    return None


def _is_same(own: RedirectUri, asked: RedirectUri) -> bool:
    if own.kind is RedirectKind.LOOPBACK and asked.kind is RedirectKind.LOOPBACK:
        return (own.host, own.path or "/", own.query) == (
            asked.host,
            asked.path or "/",
            asked.query,
        )
    return own.text == asked.text


def _web(uri: RedirectUri, found: "re.Match[str]") -> RedirectUri | str:
    if not found["authority"] or not _is_host(uri.host):
        # `@` is no character of a host: a name and password in front of it end here too
        return "A redirect URI has a host, without a user's name in front of it."
    if found["port"] is not None and not 0 < int(uri.port or 0) < 65536:
        return "The port of a redirect URI is a number from 1 to 65535."
    if uri.scheme == "https":
        kind = RedirectKind.WEB
    elif uri.host in LOOPBACK_HOSTS:
        kind = RedirectKind.LOOPBACK
    else:
        return (
            "A redirect URI of http:// leads to 127.0.0.1, [::1] or localhost; others have https."
        )
    return RedirectUri(uri.text, kind, uri.scheme, uri.host, uri.port, uri.path, uri.query)


def _is_host(host: str) -> bool:
    """A name, or an IP address in its one usual form: a browser reads 0x7f.1 as 127.0.0.1, and a
    person does not.
    """
    if not _HOST.fullmatch(host) or ".." in host:
        return False
    try:
        if host.startswith("["):
            address = IPv6Address(host[1:-1])
            return address.ipv4_mapped is None and host == f"[{address}]"
        if re.fullmatch(r"[0-9]+|0x[0-9a-f]*", host.rstrip(".").rpartition(".")[2]):
            return str(IPv4Address(host)) == host
    except ValueError:
        return False
    return True


def _app(uri: RedirectUri, found: "re.Match[str]") -> RedirectUri | str:
    if uri.scheme in _FORBIDDEN or uri.scheme.startswith(_FORBIDDEN_FAMILIES):
        return f"A redirect URI cannot lead to {uri.scheme}:."
    if len(uri.scheme) == 1:
        return "A redirect URI begins with the scheme of an app, and not with a drive."
    # javascript:alert(1), mailto:a@example.com and the like have no slash behind the scheme
    if not found["authority"] and not uri.path.startswith("/"):
        return "A redirect URI of an app has a slash behind its scheme: com.example.app:/callback."
    if "@" in uri.host:
        return "A redirect URI has no user's name in front of its host."
    return uri
