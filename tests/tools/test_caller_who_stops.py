"""A caller who may do it no more by the time that their call gets its turn."""

from orderdesk_app.context import Secret
from orderdesk_app.errors import AuthFailed
from orderdesk_app.services.access import Principal
from orderdesk_app.tools.runner import Outcome
from tests.worlds import World

WORDS = "This key has expired."


async def register(world: World, ask_again: object) -> Outcome:
    principal = await world.owner.principal()
    given = {"store_id": "10077", "api_key": Secret(world.api_key_of("10077")).reveal()}
    return await world.services.runner.run(
        principal,
        "stores_register",
        given,
        ask_again=ask_again,  # type: ignore[arg-type]
    )


async def test_a_store_is_not_connected_for_a_caller_who_stopped(small: World) -> None:
    before = await small.owner.stores()

    async def stopped() -> Principal:
        raise AuthFailed(WORDS)

    outcome = await register(small, stopped)

    assert isinstance(outcome.error, AuthFailed)
    assert (outcome.error.message, outcome.error.outcome) == (WORDS, "not_done")
    assert await small.owner.stores() == before


async def test_it_is_connected_for_one_who_may(small: World) -> None:
    outcome = await register(small, small.owner.principal)

    assert outcome.error is None
