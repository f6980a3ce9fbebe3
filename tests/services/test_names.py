"""Names that look alike are alike."""

import pytest

from orderdesk_app.services.names import is_visible, visible_only, without_idle_half_spaces

JOINED = [
    "👩\u200d🍳 Teas",
    "👨\u200d👩\u200d👧\u200d👦",
    "🏳️\u200d🌈",
    "👩🏽\u200d🚀",
    "🙂\u200d↔️",
    "1️⃣ Teas",
    "می\u200cخواهم",
    "فروشگاه\u200cها",
    "ශ්\u200dරී ලංකා",
    "क्\u200dष",
    "葛\U000e0100城",
]


@pytest.mark.parametrize(
    "name", ["Ada's Teas", "Göteborg & Söner", "茶の店", "Tea ☕️", "متجر الشاي", *JOINED]
)
def test_what_people_write_is_seen(name: str) -> None:
    assert is_visible(name)
    assert visible_only(name) == name


@pytest.mark.parametrize(
    "sign",
    [
        "\x00",
        "\u200b",
        "\u202e",
        "\u2066",
        "\u00ad",
        "\ufeff",
        "\u3164",
        "\u2800",
        "\U000e0041",
        "\ud800",
        "\ue000",
    ],
)
def test_what_nobody_sees_is_no_part_of_a_name(sign: str) -> None:
    assert not is_visible(f"Te{sign}as")
    assert visible_only(f"Te{sign}as\n and  more{sign} ") == "Teas and more"


@pytest.mark.parametrize(
    "name",
    [
        "Te\u200das",
        "Te\u200cas",
        "☕\u200d",
        "\u200d☕",
        "☕\u200d\u200d☕",
        "د\u200cر",
        "ب\u200c",
        "☕\u200dTea",
        "क\u200dष",
        "क्\u200d",
        "Te\ufe0fas",
        "Te\U000e0101as",
        "\ufe0fTeas",
    ],
)
def test_a_joiner_that_joins_nothing_is_no_part_of_a_name(name: str) -> None:
    assert not is_visible(name)
    assert is_visible(visible_only(name))


def test_a_half_space_that_persian_keyboards_leave_is_no_fault_of_who_typed_it() -> None:
    typed = "نرم\u200cافزار\u200cها"

    tidied = without_idle_half_spaces(typed)

    assert tidied == "نرم\u200cافزارها"
    assert is_visible(tidied)
