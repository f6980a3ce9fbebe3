"""Order Desk's rate limit, by a clock that stands still (section 10)."""

from orderdesk_app.demo.app import BASE, SANDBOX_URL


async def test_twenty_requests_pass_and_the_next_one_waits(make_world):
    world = make_world(rate_limited=True)

    left = [
        (await world.ask("GET", "/test"), world.last.headers["X-Tokens-Remaining"])[1]
        for _ in range(20)
    ]
    status, body = await world.ask("GET", "/test")

    assert left == [str(n) for n in range(19, -1, -1)]
    assert (status, body["status"]) == (429, "error")
    assert world.last.headers["X-Retry-After"] == "1"
    assert world.last.headers["X-Tokens-Remaining"] == "0"


async def test_three_tokens_come_back_each_second(make_world):
    world = make_world(rate_limited=True)
    for _ in range(21):
        await world.ask("GET", "/test")

    world.clock.seconds += 1
    after = [(await world.ask("GET", "/test"))[0] for _ in range(4)]

    assert after == [200, 200, 200, 429]


async def test_the_bucket_never_holds_more_than_twenty(make_world):
    world = make_world(rate_limited=True)
    await world.ask("GET", "/test")

    world.clock.seconds += 3600
    await world.ask("GET", "/test")

    assert world.last.headers["X-Tokens-Remaining"] == "19"


async def test_each_store_has_its_own_bucket(make_world):
    world = make_world(rate_limited=True)
    for _ in range(21):
        await world.ask("GET", "/test")

    assert (await world.ask("GET", "/test", store_id="10002"))[0] == 200


async def test_errors_cost_a_token_and_say_what_is_left(make_world):
    world = make_world(rate_limited=True)

    await world.ask("GET", "/orders/1")

    assert (world.last.status_code, world.last.headers["X-Tokens-Remaining"]) == (404, "19")


async def test_strangers_cost_the_store_nothing_unless_the_switch_says_so(make_world):
    for cost, left in ((False, "19"), (True, "18")):
        world = make_world(rate_limited=True, bad_credentials_cost=cost)

        await world.http.get(
            f"{SANDBOX_URL}{BASE}/test",
            headers={"ORDERDESK-STORE-ID": "10001", "ORDERDESK-API-KEY": "wrong"},
        )
        await world.ask("GET", "/test")

        assert world.last.headers["X-Tokens-Remaining"] == left


async def test_a_refusal_may_be_no_json(make_world):
    world = make_world(rate_limited=True, bucket_size=0, json_429=False)

    answer = await world.http.get(
        f"{SANDBOX_URL}{BASE}/test",
        headers={"ORDERDESK-STORE-ID": "10001", "ORDERDESK-API-KEY": "the-key"},
    )

    assert (answer.status_code, answer.text) == (429, "Too Many Requests")
    assert answer.headers["X-Retry-After"] == "1"
