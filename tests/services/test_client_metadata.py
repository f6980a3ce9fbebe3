"""What is read of a client's metadata document, and how long it is kept."""

import asyncio
from collections.abc import Sequence

import httpx
import pytest

from orderdesk_app.errors import ValidationFailed
from orderdesk_app.outbound.public_fetch import Document, PublicFetch
from orderdesk_app.services.client_metadata import (
    KEPT_BY_DEFAULT,
    LEAST_KEPT,
    MOST_KEPT,
    ClientMetadata,
    read_document,
    seconds_kept,
)
from tests.public_site import metadata

CLIENT = "https://client.example/client.json"


class Site:
    """Answers each request with the next answer, the last one again and again."""

    def __init__(self, *answers: httpx.Response) -> None:
        self.answers = list(answers)
        self.requests = 0
        self.now = 0.0
        self.was_asked = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.documents = ClientMetadata(
            PublicFetch(self._resolve, lambda: httpx.MockTransport(self._answer)),
            clock=lambda: self.now,
        )

    async def _resolve(self, _: str, __: int) -> Sequence[str]:
        return ["8.8.8.8"]

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        self.was_asked.set()
        await self.go_on.wait()
        given = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        # a new one, as an answer is read once
        return httpx.Response(
            given.status_code, headers=given.headers, stream=httpx.ByteStream(given.content)
        )


def said(body: bytes, status: int = 200, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(
        status, headers={"content-type": "application/json", **named}, content=body
    )


async def test_a_document_says_who_the_client_is() -> None:
    site = Site(said(metadata(CLIENT, client_name="  A\u202e na\u0000me ", logo_uri="x")))

    found = await site.documents.find(CLIENT)

    assert found.client_id == CLIENT
    assert found.name == "A name"
    assert found.redirect_uris == ("https://client.example/callback",)


@pytest.mark.parametrize("name", ["", " ", "\u200b"])
def test_a_client_whose_name_nobody_sees_has_that_of_its_host(name: object) -> None:
    assert read_document(CLIENT, metadata(CLIENT, client_name=name)).name == "client.example"


@pytest.mark.parametrize(
    "body",
    [
        metadata("https://client.example/client.json?"),
        metadata("https://CLIENT.example/client.json"),
        metadata("https://evil.example/client.json"),
        metadata(CLIENT, client_id=None),
        metadata(CLIENT, client_id=[CLIENT]),
        metadata(CLIENT, redirect_uris=None),
        metadata(CLIENT, redirect_uris=[]),
        metadata(CLIENT, redirect_uris="https://client.example/callback"),
        metadata(CLIENT, redirect_uris=[7]),
        metadata(CLIENT, redirect_uris=["https://client.example/a", "javascript:alert(1)"]),
        metadata(CLIENT, redirect_uris=[f"https://client.example/{n}" for n in range(21)]),
        metadata(CLIENT, client_name=None),
        metadata(CLIENT, client_name=7),
        metadata(CLIENT, client_secret="s3cret"),
        metadata(CLIENT, client_secret_expires_at=0),
        metadata(CLIENT, token_endpoint_auth_method="private_key_jwt"),
        metadata(CLIENT, token_endpoint_auth_method=7),
        metadata(
            CLIENT,
            token_endpoint_auth_method="private_key_jwt",
            token_endpoint_auth_methods_supported=["private_key_jwt"],
        ),
        metadata(
            CLIENT,
            token_endpoint_auth_method="client_secret_jwt",
            token_endpoint_auth_methods_supported=["none"],
        ),
        metadata(CLIENT, token_endpoint_auth_method="client_secret_post"),
        b"[" + metadata(CLIENT) + b"]",
        metadata(CLIENT)[:-1] + b', "client_id": "https://evil.example/"}',
        b'"' + CLIENT.encode() + b'"',
        b"\xff\xfe{}",
        b"[" * 5000,
        b"",
        b"null",
    ],
)
async def test_what_is_no_document_of_that_client_is_refused(body: bytes) -> None:
    with pytest.raises(ValidationFailed) as refused:
        read_document(CLIENT, body)
    with pytest.raises(ValidationFailed) as told:
        await Site(said(body)).documents.find(CLIENT)

    assert told.value.field == "client_id"
    assert told.value.message.endswith(refused.value.message)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, KEPT_BY_DEFAULT),
        ({"cache-control": "public, max-age=600"}, 600),
        ({"cache-control": "max-age=600", "age": "100"}, 500),
        ({"cache-control": 's-maxage=5, MAX-AGE="600"'}, 600),
        ({"cache-control": "max-age=0"}, LEAST_KEPT),
        ({"cache-control": "no-store"}, LEAST_KEPT),
        ({"cache-control": "no-cache, max-age=600"}, LEAST_KEPT),
        ({"cache-control": "max-age=9999999999"}, MOST_KEPT),
        ({"cache-control": "max-age=-5"}, KEPT_BY_DEFAULT),
        (
            {
                "date": "Sat, 28 Nov 2026 16:00:00 GMT",
                "expires": "Sat, 28 Nov 2026 16:10:00 GMT",
            },
            600,
        ),
        ({"expires": "0"}, LEAST_KEPT),
        ({"date": "x", "expires": "Sat, 28 Nov 2026 16:10:00 GMT"}, LEAST_KEPT),
    ],
)
def test_it_is_kept_as_its_headers_say_within_bounds(
    headers: dict[str, str], seconds: float
) -> None:
    assert seconds_kept(Document(b"", headers)) == seconds


async def test_it_is_fetched_again_when_its_time_is_over() -> None:
    site = Site(
        said(metadata(CLIENT, client_name="Before"), cache_control="max-age=100"),
        said(metadata(CLIENT, client_name="After")),
    )

    assert (await site.documents.find(CLIENT)).name == "Before"
    site.now = 99
    assert (await site.documents.find(CLIENT)).name == "Before"
    assert site.documents.is_kept(CLIENT)
    site.now = 101
    assert not site.documents.is_kept(CLIENT)
    assert (await site.documents.find(CLIENT)).name == "After"


@pytest.mark.parametrize("answer", [said(b"", 500), said(b"{}")], ids=["away", "invalid"])
async def test_what_could_not_be_used_is_fetched_again_the_next_time(
    answer: httpx.Response,
) -> None:
    site = Site(answer, said(metadata(CLIENT)))

    with pytest.raises(ValidationFailed):
        await site.documents.find(CLIENT)

    assert not site.documents.is_kept(CLIENT)
    assert (await site.documents.find(CLIENT)).client_id == CLIENT


def test_a_client_that_may_prove_itself_by_a_key_is_public_where_its_document_says_so() -> None:
    """As ChatGPT's does: by a key where the server takes that, else not at all."""
    body = metadata(
        CLIENT,
        token_endpoint_auth_method="private_key_jwt",
        token_endpoint_auth_methods_supported=["none", "private_key_jwt"],
        jwks_uri="https://client.example/jwks.json",
    )

    assert read_document(CLIENT, body).client_id == CLIENT


async def test_callers_at_the_same_time_share_one_fetch() -> None:
    site = Site(said(metadata(CLIENT)))
    site.go_on.clear()

    asking = [asyncio.create_task(site.documents.find(CLIENT)) for _ in range(5)]
    await site.was_asked.wait()
    site.go_on.set()

    assert len(set(await asyncio.gather(*asking))) == 1
    assert site.requests == 1


async def test_a_long_id_is_not_kept() -> None:
    site = Site(said(metadata(CLIENT)))
    client_id = f"https://client.example/{'a' * 5000}"

    with pytest.raises(ValidationFailed):
        await site.documents.find(client_id)

    assert not site.documents.is_kept(client_id)
    assert site.requests == 0
