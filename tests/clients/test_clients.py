"""Clients that others wrote: each lists the tools, reads, writes, is told of a mistake, and meets a
wrong key. They run as processes in environments of their own.
"""

import pytest
from mcp.shared.exceptions import MCPError

from orderdesk_app.tools.catalogue import every_tool
from tests.clients.clients import CLIENTS, OUR_SENTENCE, Client
from tests.clients.conftest import Heard
from tests.mcp_server import LEGACY, MODERN, McpServer

pytestmark = pytest.mark.slow


@pytest.fixture(params=CLIENTS, ids=lambda client: client.id)
def client(request: pytest.FixtureRequest) -> Client:
    chosen: Client = request.param
    return chosen


@pytest.fixture
def told(client: Client, heard: dict[Client, Heard | str]) -> Heard:
    found = heard[client]
    assert isinstance(found, Heard), found
    return found


def test_it_is_the_release_that_is_named(client: Client, told: Heard) -> None:
    assert told.version == client.version


def test_it_takes_every_tool(told: Heard) -> None:
    """Converted for its model, where the client does that; Inspector also judges the schemas."""
    assert sorted(told.tools) == sorted(tool.name for tool in every_tool())
    assert told.schemas == ""


def test_it_reads_an_order_with_its_fields(told: Heard) -> None:
    order = told.read["order"]

    assert order["id"] == told.before["id"]
    assert order["email"] == told.before["email"]
    assert order["shipping"]["city"] == told.before["shipping"]["city"]
    assert len(order["order_items"]) == len(told.before["order_items"])
    assert order["processor_response"] == told.before["processor_response"], "a field without name"


def test_it_writes_and_sees_what_was_written(told: Heard) -> None:
    assert told.after["shipping"] == {**told.before["shipping"], "city": told.city}
    assert told.written["status"] == "done"
    assert told.written["order"]["shipping"]["city"] == told.city


def test_it_shows_what_was_wrong_with_a_call(told: Heard) -> None:
    assert told.mistake.endswith(
        "VALIDATION_ERROR: order_id must be Order Desk's own id, digits only. Find it by the "
        'shop\'s number first: orders_list with source_id "abc".'
    )


def test_a_wrong_key_is_named_at_once(client: Client, told: Heard) -> None:
    assert client.wrong_key in told.refusal
    assert told.seconds < 30, "it did not wait for somebody to sign in"


@pytest.mark.parametrize("revision", [LEGACY[-1], MODERN])
async def test_the_sdk_of_this_server_shows_its_sentence(shop: McpServer, revision: str) -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(MCPError, match=OUR_SENTENCE), flatten_subgroups=True):
        async with shop.client(revision, key="a-key-that-nobody-has") as client:
            await client.list_tools()
