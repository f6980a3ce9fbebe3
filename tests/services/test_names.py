"""Names that look alike are alike."""

import pytest

from orderdesk_app.services.names import is_visible, visible_only

JOINED = ["👩\u200d🍳 Teas", "🏳️\u200d🌈", "👩🏽\u200d🚀", "می\u200cخواهم", "فروشگاه\u200cها"]


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
    ],
)
def test_a_joiner_that_joins_nothing_is_no_part_of_a_name(name: str) -> None:
    assert not is_visible(name)
    assert is_visible(visible_only(name))
