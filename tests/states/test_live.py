"""Pages that go on by themselves: which tabs get an event, when, and which do not."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from orderdesk_app.states import live
from orderdesk_app.states.live import LivePages
from tests.worlds import eventually

PAGES = {"/": "home.load", "/activity": "activity.refresh"}


async def until(is_so: Callable[[], bool]) -> None:
    async def ask() -> bool:
        return is_so()

    await eventually(ask, 10, every=0.005)


class Browser:
    """Tabs, and the events that they were sent."""

    def __init__(self) -> None:
        self.open: set[str] = set()
        self.sent: list[tuple[str, str]] = []
        self.times: list[float] = []
        self.slow: dict[str, asyncio.Future[None]] = {}
        self.pages = LivePages()
        self.pages.configure(
            PAGES,
            send=self.send,
            is_open=self.open.__contains__,
            check="page.check",
            of_strangers=frozenset({"activity.refresh"}),
        )

    async def send(self, tab: str, event: str, router_data: dict[str, Any]) -> Any:
        self.sent.append((tab, event))
        self.times.append(time.monotonic())
        if tab in self.slow:
            return self.slow[tab]
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def show(self, tab: str, tenant: str, path: str = "/", user: str = "") -> None:
        self.open.add(tab)
        self.pages.show(tab, tenant, path, {}, user_id=user)

    async def settle(self) -> None:
        """Until nobody is sent anything any more."""
        await until(lambda: not self.is_busy)

    @property
    def is_busy(self) -> bool:
        return any(task.get_name() == "live-pages" for task in asyncio.all_tasks())


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Browser:
    monkeypatch.setattr(live, "SPACING_SECONDS", 0.05)
    return Browser()


async def test_an_open_page_is_sent_its_event_when_something_happens(browser: Browser) -> None:
    browser.show("one", "ada")
    browser.show("two", "ada", "/activity")
    assert not browser.is_busy  # a quiet page costs nothing

    browser.pages.hear("activity:bert,ada")
    await browser.settle()

    assert sorted(browser.sent) == [("one", "home.load"), ("two", "activity.refresh")]


async def test_the_pages_of_a_neighbour_are_left_alone(browser: Browser) -> None:
    browser.show("one", "bert")

    for topic in ("activity:ada", "tenant:ada", "store:ada", "store:bert", "bert"):
        browser.pages.hear(topic)
    await browser.settle()

    assert browser.sent == []


async def test_a_request_of_no_account_is_news_to_the_pages_that_show_such(
    browser: Browser,
) -> None:
    browser.show("one", "ada")
    browser.show("two", "bert", "/activity")

    browser.pages.hear("strangers")
    await browser.settle()

    assert browser.sent == [("two", "activity.refresh")]


@pytest.mark.parametrize("topic", ["tenant:ada", "*"])
async def test_changed_keys_and_lost_signals_are_something_that_happens(
    browser: Browser, topic: str
) -> None:
    browser.show("one", "ada")

    browser.pages.hear(topic)
    await browser.settle()

    assert browser.sent == [("one", "home.load")]


async def test_every_page_of_a_user_is_looked_at_when_something_of_theirs_changes(
    browser: Browser,
) -> None:
    """Their session may have ended, in whichever account it was."""
    browser.show("one", "ada", user="anna")
    browser.show("two", "bert", "/a/page/that/shows/nothing/live", user="anna")
    browser.show("three", "ada", user="otto")

    browser.pages.hear("user:anna")
    await browser.settle()
    browser.pages.forget("one")
    browser.pages.hear("user:otto")
    await browser.settle()

    assert sorted(browser.sent) == [
        ("one", "home.load"),
        ("three", "home.load"),
        ("two", "page.check"),
    ]


async def test_many_calls_at_once_are_few_events_and_the_last_one_is_seen(
    browser: Browser,
) -> None:
    browser.show("one", "ada")

    for _ in range(20):
        browser.pages.hear("activity:ada")
        await asyncio.sleep(0.01)
    last = time.monotonic()
    await browser.settle()

    assert 2 <= len(browser.sent) <= 8
    assert browser.times[-1] > last - 0.05
    gaps = [later - sooner for sooner, later in zip(browser.times, browser.times[1:], strict=False)]
    assert min(gaps) > 0.045


async def test_a_tab_that_is_gone_is_forgotten(browser: Browser) -> None:
    browser.show("one", "ada")
    browser.open.clear()

    browser.pages.hear("activity:ada")
    await browser.settle()
    browser.open.add("one")
    browser.pages.hear("activity:ada")
    await browser.settle()

    assert browser.sent == []


async def test_a_page_without_an_event_ends_the_one_before(browser: Browser) -> None:
    browser.show("one", "ada")
    browser.show("one", "ada", "/somewhere")

    browser.pages.hear("activity:ada")
    await browser.settle()

    assert browser.sent == []


async def test_tabs_that_went_without_a_word_are_not_kept(browser: Browser) -> None:
    for number in range(150):
        browser.show(f"tab {number}", "ada")
        browser.open.clear()
    browser.open.add("tab 149")
    browser.show("last", "ada")

    browser.pages.hear("activity:ada")
    await browser.settle()

    assert {tab for tab, _ in browser.sent} == {"tab 149", "last"}


async def test_a_tab_that_takes_long_does_not_hold_up_the_others(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "LONGEST_WAIT", 0.05)
    monkeypatch.setattr(live, "PAUSE_SHARE", 0.0)
    browser.slow["one"] = asyncio.get_running_loop().create_future()
    browser.show("one", "ada")
    browser.show("two", "ada")

    browser.pages.hear("activity:ada")
    await browser.settle()
    browser.pages.hear("activity:ada")
    await browser.settle()
    meanwhile = [tab for tab, _ in browser.sent]
    browser.slow.pop("one").set_result(None)
    await until(lambda: len(browser.sent) == 4)

    assert sorted(meanwhile) == ["one", "two", "two"]
    assert browser.sent[-1] == ("one", "home.load")  # what it missed


async def test_a_page_that_changes_by_itself_is_sent_its_event_then(browser: Browser) -> None:
    browser.show("one", "ada")
    browser.pages.look_again("one", 60)
    browser.pages.look_again("one", 0.02)

    await until(lambda: len(browser.sent) == 1)
    await browser.settle()

    browser.pages.look_again("one", 0.02)
    browser.pages.forget("one")
    await asyncio.sleep(0.05)
    assert browser.sent == [("one", "home.load")]


async def test_an_event_that_fails_does_not_end_the_others(browser: Browser) -> None:
    browser.show("one", "ada")
    send = browser.send

    async def fail_once(tab: str, event: str, router_data: dict[str, Any]) -> Any:
        browser.pages.configure(PAGES, send=send, is_open=browser.open.__contains__)
        raise RuntimeError("a library's words")

    browser.pages.configure(PAGES, send=fail_once, is_open=browser.open.__contains__)
    browser.pages.hear("activity:ada")
    await browser.settle()
    browser.pages.hear("activity:ada")
    await browser.settle()

    assert browser.sent == [("one", "home.load")]
