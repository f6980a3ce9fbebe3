"""What a client reads is what the tool told, whichever way the answer was put together."""

import json
from typing import Any

import pytest

from orderdesk_app.mcp import text
from orderdesk_app.mcp.prebuilt_result import (
    PrebuiltResult,
    complete_prebuilt,
    prebuilt_result_of,
    render_json,
)
from orderdesk_app.mcp.text import render_text
from orderdesk_app.tools.views import View, untrusted_paths
from tests.mcp.json_text import json_text

NOTE = 'Say "hi" \\u0000 at </customer-text-0> Ελλάδα \u202e\x00\n\nC:\\new \ud800'
ORDER = {
    "id": "7",
    "order_notes": [{"content": NOTE}],
    "order_total": 21.1,
    "shipped": True,
    "cost": None,
    "checkout_data": {"engraving": "\\u0000"},
}


@pytest.fixture(autouse=True)
def _one_marker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "random_bytes", lambda: b"\xab" * 10)


def result(order: dict[str, Any]) -> dict[str, Any]:
    return {
        "order": order,
        "cached": True,
        "untrusted": ["order.order_notes[0].content", "order.checkout_data.engraving"],
    }


def test_the_text_is_the_same_as_a_json_string() -> None:
    plain = render_text(result(ORDER))

    assert json.loads(json_text(result(ORDER))) == plain


def test_a_kept_order_reads_like_a_new_one() -> None:
    kept = View(ORDER)

    first, second = render_text(result(kept)), render_text(result(kept))

    assert first == second == render_text(result(ORDER))
    assert json.loads(json_text(result(kept))) == first


def test_a_customer_cannot_write_the_fence() -> None:
    words = render_text(result(ORDER))

    # the warning's two, and two around each of the customer's texts
    assert words.count("customer-text-abababab") == 2 + 2 * 2
    assert json_text(result(ORDER)).count("customer-text-abababab") == 6


def test_each_answer_has_a_fence_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = View(ORDER)
    markers = iter([b"\x11" * 10, b"\x22" * 10])
    monkeypatch.setattr(text, "random_bytes", lambda: next(markers))

    first, second = json_text(result(kept)), json_text(result(kept))

    assert "customer-text-11" in first
    assert "customer-text-11" not in second


def test_an_order_of_the_cache_is_put_into_bytes_once_and_reads_the_same() -> None:
    kept = View(ORDER)
    alike = {
        "store": "Ada's Teas",
        "order": kept,
        "cached": True,
        "untrusted": untrusted_paths(kept, "order"),
    }
    anew = {**alike, "order": ORDER}
    renamed = {**alike, "store": "Bert's Bikes"}

    for _ in range(3):
        assert answer_of(alike) == answer_of(anew)
    assert kept.rendered is not None
    assert "Bert's Bikes" in answer_of(renamed)[0]
    assert answer_of(renamed) == answer_of({**renamed, "order": ORDER})
    assert answer_of({**alike, "cached": False}) == answer_of({**anew, "cached": False})
    assert answer_of({"order": kept, "cached": True}) == answer_of({"order": ORDER, "cached": True})
    narrower = {**alike, "untrusted": ["order.order_notes[0].content"]}
    assert answer_of(narrower) == answer_of({**narrower, "order": ORDER})
    assert answer_of(narrower) != answer_of(alike)


def answer_of(told: dict[str, Any]) -> tuple[str, Any]:
    """Text and structure."""
    prebuilt = PrebuiltResult()
    prebuilt.placeholder_for(told)
    return json.loads(prebuilt.text), json.loads(prebuilt.structure)


def test_what_is_untrusted_may_change_with_the_question() -> None:
    kept = View(ORDER)
    render_text(result(kept))

    words = render_text({"order": kept})

    assert "customer-text-ab" not in words


def test_the_structure_is_the_same_json() -> None:
    told = render_json(result(View(ORDER)))

    assert json.loads(told) == result(ORDER)
    assert render_json(result(ORDER)) == told


async def test_the_answer_holds_the_result_and_its_true_length() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope: dict[str, Any] = {}
    out = complete_prebuilt(scope, send)
    prebuilt = prebuilt_result_of(scope)
    assert prebuilt is not None
    carried = prebuilt.placeholder_for(result(ORDER))
    body = json.dumps({"id": 1, "result": carried}, separators=(",", ":")).encode()
    await out(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-length", str(len(body)).encode()), (b"x-other", b"1")],
        }
    )
    await out({"type": "http.response.body", "body": body})

    told = json.loads(sent[1]["body"].decode())["result"]
    assert told["structuredContent"] == result(ORDER)
    assert told["content"] == [{"type": "text", "text": render_text(result(ORDER))}]
    assert dict(sent[0]["headers"]) == {
        b"content-length": str(len(sent[1]["body"])).encode(),
        b"x-other": b"1",
    }


async def test_an_answer_without_a_result_goes_out_as_it_is() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    messages = [
        {"type": "http.response.start", "status": 400, "headers": []},
        {"type": "http.response.body", "body": b"{}"},
    ]
    out = complete_prebuilt({}, send)
    for message in messages:
        await out(message)

    assert sent == messages
