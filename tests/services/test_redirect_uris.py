"""Where an OAuth client may be redirected to."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import Url

from orderdesk_app.services.redirect_uris import (
    LONGEST,
    LOOPBACK_HOSTS,
    RedirectKind,
    RedirectUri,
    is_allowed_redirect,
    matching_redirect,
    read_redirect,
)

REAL = (
    "https://claude.ai/api/mcp/auth_callback",
    "https://claude.com/api/mcp/auth_callback",
    "https://chatgpt.com/connector_platform_oauth_redirect",
    "https://chatgpt.com/connector/oauth/a_b-C1",
    "https://vscode.dev/redirect",
    "https://insiders.vscode.dev/redirect",
    "https://n8n.example.com:5678/rest/oauth2-credential/callback",
    "http://127.0.0.1/",
    "http://127.0.0.1:33418/",
    "http://localhost:3118/oauth/callback",
    "http://[::1]:8080/callback?from=us",
    "cursor://anysphere.cursor-mcp/oauth/callback",
    "vscode://vscode.github-authentication/did-authenticate",
    "vscode-insiders://ms.client/cb",
    "com.example.app:/oauth2redirect",
    "claude://oauth",
    "goose:///callback",
)
FORBIDDEN = (
    "javascript:alert(1)",
    "javascript://example.com/%0aalert(1)",
    "JavaScript://example.com/",
    "java\tscript://example.com/",
    "\x01javascript://example.com/",
    " javascript://example.com/",
    "data:text/html,x",
    "data://text/html,x",
    "file:///etc/passwd",
    "blob:https://example.com/1",
    "blob://example.com/1",
    "vbscript://x/",
    "about:blank",
    "about://blank",
    "view-source://example.com/",
    "filesystem://example.com/",
    "intent://scan/",
    "ms-msdt:/id",
    "ms-word://x",
    "search-ms://x",
    "c:/windows",
    "mailto:a@example.com",
    "tel:/1",
    "ws://127.0.0.1/",
    "ftp://127.0.0.1/",
    "httpx://127.0.0.1/",
    "http://example.com/",
    "http://127.0.0.1.example.com/",
    "http://localhost.example.com/",
    "http://127.0.0.2.example/",
    "http://127.1/",
    "http://0x7f000001/",
    "http://192.168.1.1/",
    "http://[::ffff:127.0.0.1]/",
    "http://localhost@example.com/",
    "http://127.0.0.1:80@example.com/",
    "http://example.com\\@127.0.0.1/",
    "http://127.0.0.1:0/",
    "http://127.0.0.1:65536/",
    "http://127.0.0.1:/",
    "https://user@example.com/",
    "https://user:password@example.com/",
    "https://example.com\\.evil.example/",
    "https://example.com/#fragment",
    "https://example.com/#",
    "https:///path",
    "https:/example.com/",
    "https:example.com",
    "https://",
    "https://exa mple.com/",
    "https://example.com/\r\nLocation: x",
    "https://example.com/%0d%0aLocation:x",
    "https://example.com/%00",
    "https://example.com/%5c",
    "https://example.com/%zz",
    "https://ex\u00e4mple.com/",
    "https://example\u3002com/",
    "https://example..com/",
    "https://-/",
    "https://0x7f000001/",
    "https://2130706433/",
    "https://127.1/",
    "https://192.168.1.0x1/",
    "https://127.0.0.01/",
    "https://[::ffff:127.0.0.1]/",
    "https://[0:0::1]/",
    "https://[::g]/",
    "*",
    "https://*.example.com/",
    "https://example.com/*",
    "https://example.com/?to=*",
    "com.example.app:/*",
    "//example.com/",
    "/callback",
    "callback",
    "",
    "app://user@host/",
    f"https://example.com/{'a' * LONGEST}",
)


@pytest.mark.parametrize("text", REAL)
def test_what_clients_have_is_allowed(text: str) -> None:
    assert is_allowed_redirect(text), read_redirect(text)


@pytest.mark.parametrize("text", FORBIDDEN)
def test_what_leads_elsewhere_is_refused_with_its_reason(text: str) -> None:
    told = read_redirect(text)

    assert isinstance(told, str)
    assert told.startswith(("A redirect URI ", "The port of a redirect URI "))


@pytest.mark.parametrize("text", REAL)
def test_each_is_its_own_match(text: str) -> None:
    assert matching_redirect([text], text) is not None
    assert matching_redirect([], text) is None


@pytest.mark.parametrize(
    ("own", "wanted"),
    [
        ("http://127.0.0.1/", "http://127.0.0.1:33418/"),
        ("http://127.0.0.1", "http://127.0.0.1:33418/"),
        ("http://localhost:1/oauth/callback", "http://localhost:2/oauth/callback"),
        ("http://[::1]/cb", "http://[::1]:5/cb"),
    ],
)
def test_a_loopback_address_may_have_any_port(own: str, wanted: str) -> None:
    assert matching_redirect([own], wanted) is not None


@pytest.mark.parametrize(
    ("own", "wanted"),
    [
        ("http://127.0.0.1/a", "http://127.0.0.1/b"),
        ("http://127.0.0.1/a", "http://127.0.0.1/a?x=1"),
        ("http://127.0.0.1/a", "http://localhost/a"),
        ("https://example.com/a", "https://example.com:8443/a"),
        ("https://example.com/a", "https://example.com/a/"),
        ("https://example.com/a", "https://example.com/a/../a"),
        ("https://example.com/a", "https://EXAMPLE.com/a"),
        ("https://example.com/a", "https://example.com/a?x=1"),
        ("https://example.com/a", "https://example.com.evil.example/a"),
        ("https://localhost/a", "http://localhost/a"),
        ("http://localhost/a", "https://localhost/a"),
        ("cursor://a/b", "cursor://a:1/b"),
    ],
)
def test_nothing_else_may_differ(own: str, wanted: str) -> None:
    assert matching_redirect([own], wanted) is None


def test_a_page_can_say_where_the_answer_goes() -> None:
    shown = {text: _read(text) for text in REAL}

    assert shown["https://claude.ai/api/mcp/auth_callback"].shown == "claude.ai"
    assert shown["https://claude.ai/api/mcp/auth_callback"].source == "https://claude.ai"
    assert shown["http://127.0.0.1:33418/"].source == "http://127.0.0.1:33418"
    assert shown["http://[::1]:8080/callback?from=us"].source == "http:"
    assert shown["cursor://anysphere.cursor-mcp/oauth/callback"].shown == "cursor:"
    assert shown["cursor://anysphere.cursor-mcp/oauth/callback"].source == "cursor:"


def _read(text: str) -> RedirectUri:
    found = read_redirect(text)
    assert isinstance(found, RedirectUri)
    return found


PIECES = (
    *FORBIDDEN,
    *REAL,
    *("http:", "https:", "javascript:", "//", "/", "\\", "@", ":", "?", "#", "%", "%2f", "%40"),
    *("0x7f", "127", "0177.1", "[::ffff:1.2.3.4]", "xn--a"),
    *("127.0.0.1", "localhost", "[::1]", "[", "]", "evil.example", ".", "..", "\t", "\n", "\0"),
)
anything = st.one_of(
    st.text(),
    st.text(alphabet=string.printable),
    st.lists(st.sampled_from(PIECES), max_size=5).map("".join),
)


@given(anything)
def test_a_browser_reads_what_is_allowed_as_we_do(text: str) -> None:
    """`Url` reads addresses by the standard of browsers (WHATWG)."""
    uri = read_redirect(text)
    if not isinstance(uri, RedirectUri):
        return

    seen = Url(text)

    assert seen.scheme == uri.scheme
    assert seen.fragment is None
    assert seen.username is None
    assert seen.password is None
    assert (seen.host or "").lower() == uri.host
    if uri.scheme == "http":
        assert seen.host in LOOPBACK_HOSTS
    else:
        assert uri.scheme == "https" or uri.kind is RedirectKind.APP
    assert seen.scheme not in ("javascript", "data", "file", "blob", "vbscript", "about")


@given(anything, anything)
def test_a_match_differs_in_a_loopback_port_alone(own: str, wanted: str) -> None:
    uri = matching_redirect([own], wanted)

    if uri is not None and own != wanted:
        assert uri.kind is RedirectKind.LOOPBACK
        assert _read(own).host == uri.host


@given(st.sampled_from(sorted(LOOPBACK_HOSTS)), st.integers(1, 65535), st.integers(1, 65535))
def test_any_two_ports_of_a_loopback_match(host: str, one: int, other: int) -> None:
    assert matching_redirect([f"http://{host}:{one}/cb"], f"http://{host}:{other}/cb") is not None
