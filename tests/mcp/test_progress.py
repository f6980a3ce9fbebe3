"""Progress always rises, is told while a call takes long, and ends with the call."""

import asyncio

import pytest

from orderdesk_app.mcp import progress as progress_module
from orderdesk_app.mcp.progress import report_progress

Told = list[tuple[float, float | None, str | None]]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    monkeypatch.setattr(progress_module, "EVERY_SECONDS", 0.01)
    return []


async def test_a_long_call_is_heard_of_again_and_again(told: Told) -> None:
    often = asyncio.Event()

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))
        if len(told) == 4:
            often.set()

    async with report_progress(hear):
        await often.wait()

    steps = [step for step, _, _ in told]
    assert steps == sorted(set(steps))
    assert told[0] == (0, None, "started")
    assert "still running" in str(told[1][2])
    assert told[-1] == (steps[-1], steps[-1], "done")


async def test_after_the_end_nothing_is_told(told: Told) -> None:
    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))

    async with report_progress(hear):
        pass
    count = len(told)
    await asyncio.sleep(0.03)

    assert len(told) == count


async def test_a_call_that_is_given_up_is_not_done(told: Told) -> None:
    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))

    async def called() -> None:
        async with report_progress(hear):
            raise ConnectionError

    with pytest.raises(ConnectionError):
        await called()

    assert [message for _, _, message in told] == ["started"]
