"""News between processes: at once in one's own, within a second elsewhere, and "*" after it may
have been missed.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
import structlog

from orderdesk_app.db import signals as signals_module
from orderdesk_app.db.engine import Database
from orderdesk_app.db.signals import EVERYTHING, Signals
from orderdesk_app.db.tenants import Tenant
from tests.worlds import PROMISED


class TopicRecorder:
    def __init__(self) -> None:
        self.heard: list[str] = []
        self._news = asyncio.Event()

    def __call__(self, topic: str) -> None:
        self.heard.append(topic)
        self._news.set()

    async def next(self, topic: str, seconds: float = PROMISED, *, times: int = 1) -> None:
        """Waits until the topic was heard so often; TimeoutError after so many seconds."""
        async with asyncio.timeout(seconds):
            while self.heard.count(topic) < times:
                self._news.clear()
                await self._news.wait()


async def tell(database: Database, signals: Signals, topic: str) -> None:
    async with database.write() as session:
        await signals.publish(session, topic)


@pytest.fixture
def here():
    return TopicRecorder()


@pytest.fixture
def there():
    return TopicRecorder()


@pytest.fixture
async def elsewhere(database_url: str, there: TopicRecorder) -> AsyncIterator[Signals]:
    """Another process, as far as the database can tell."""
    database = Database(database_url)
    signals = Signals(database)
    signals.subscribe(there)
    await listening(signals)
    yield signals
    await signals.stop()
    await database.close()


async def listening(signals: Signals) -> None:
    """`start` itself waits for a second only."""
    await signals.start()
    async with asyncio.timeout(30):
        await signals.wait_until_listening()


async def test_ones_own_process_hears_before_the_write_ends(database, signals, here):
    signals.subscribe(here)

    async with database.write() as session:
        await signals.publish(session, "tenant:1")
        assert here.heard == []

    assert here.heard == ["tenant:1"]


async def test_others_hear_within_a_second_and_each_thing_once(
    database, signals, here, there, elsewhere
):
    signals.subscribe(here)
    await listening(signals)

    await tell(database, signals, "tenant:1")
    await tell(database, signals, "store:https://app.example|77")
    await there.next("store:https://app.example|77")
    await asyncio.sleep(0.3)

    assert there.heard == ["tenant:1", "store:https://app.example|77"]
    assert here.heard == there.heard
    await signals.stop()


async def test_nothing_is_heard_of_what_was_rolled_back(database, signals, here, there, elsewhere):
    signals.subscribe(here)

    async def fail() -> None:
        async with database.write() as session:
            await signals.publish(session, "tenant:1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    await tell(database, signals, "tenant:2")
    await there.next("tenant:2")

    assert there.heard == ["tenant:2"]
    assert here.heard == ["tenant:2"]


async def test_writes_without_news_are_no_news(database, there, elsewhere):
    async with database.write() as session:
        session.add(Tenant(name="Ada"))
    await asyncio.sleep(0.4)

    assert there.heard == []


async def test_what_was_said_before_one_listened_is_not_told(database_url, database, signals):
    await tell(database, signals, "tenant:1")
    late, ears = Signals(database), TopicRecorder()
    late.subscribe(ears)

    await late.start()
    await asyncio.sleep(0.3)
    await late.stop()

    assert ears.heard == []


async def test_after_a_lost_connection_everything_may_have_changed(postgres_url):
    database, ears = Database(postgres_url), TopicRecorder()
    signals = Signals(database)
    signals.subscribe(ears)
    await listening(signals)
    async with await psycopg.AsyncConnection.connect(
        database.conninfo, autocommit=True
    ) as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
            "current_database() AND pid <> pg_backend_pid()"
        )

    # when the line breaks, and when it stands again
    await ears.next(EVERYTHING, seconds=30, times=2)
    await tell(database, Signals(database), "tenant:1")
    await ears.next("tenant:1", seconds=30)

    await signals.stop()
    await database.close()


async def test_an_outage_is_told_once_and_so_is_its_end(database, signals, here, monkeypatch):
    monkeypatch.setattr(signals_module, "RECONNECT_SECONDS", (0.01,))
    place, name = (
        (signals_module, "open_sqlite")
        if database.is_sqlite
        else (psycopg.AsyncConnection, "connect")
    )
    connect, failures = getattr(place, name), iter(range(5))

    async def fail_five_times(*address: Any, **options: Any) -> Any:
        if next(failures, None) is not None:
            raise ConnectionError
        return await connect(*address, **options)

    monkeypatch.setattr(place, name, fail_five_times)
    signals.subscribe(here)
    with structlog.testing.capture_logs() as lines:
        await signals.start()
        async with asyncio.timeout(30):
            await signals.wait_until_listening()
        await signals.stop()

    assert [(line["log_level"], line["event"]) for line in lines] == [
        ("warning", "the line for news is down, trying again"),
        ("info", "the line for news is up again"),
    ]
    assert here.heard == [EVERYTHING] * 5, "as long as it lasts nothing is kept for long"


async def test_stopping_twice_and_starting_again_works(database, signals, here):
    signals.subscribe(here)
    await signals.start()
    await signals.stop()
    await signals.stop()
    await signals.start()

    await tell(database, signals, "tenant:1")
    await signals.stop()

    assert "tenant:1" in here.heard


async def test_old_news_is_cleared_away(sqlite_url):
    database = Database(sqlite_url)
    signals = Signals(database)
    await database.execute(
        "INSERT INTO signals (topic, origin, at) VALUES ('old', 'x', '2020-01-01 00:00:00.000000')",
        {},
    )

    await tell(database, signals, "new")

    assert await database.execute("SELECT topic FROM signals", {}) == [("new",)]
    await database.close()


async def test_one_listener_at_fault_keeps_no_news_from_the_others(database, signals, here):
    def fail(topic: str) -> None:
        raise ZeroDivisionError

    signals.subscribe(fail)
    signals.subscribe(here)

    await tell(database, signals, "tenant:1")

    assert here.heard == ["tenant:1"]
