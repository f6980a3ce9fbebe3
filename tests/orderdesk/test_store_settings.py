"""No secret leaves `GET /store`."""

import json
from typing import Any

import pytest

from orderdesk_app.context import Secret
from orderdesk_app.orderdesk.store_settings import view, without_secrets

KEY = Secret("the-key-of-this-store")
STORE: dict[str, Any] = {
    "id": 11,
    "name": "Test Store",
    "settings": {
        "timezone": "America/Los_Angeles",
        "locale_code": "en_US",
        "api_key": "the-key-of-this-store",
        "smtp_password": "hunter2",
        "orders_per_page": 50,
        "shipping_methods": [],
    },
    "folders": {"21656": "Closed", "21654": "New", "21655": "Prepared"},
}


def test_the_view_has_what_people_look_at_in_order_desks_order() -> None:
    seen = view(STORE, KEY)

    assert (seen["id"], seen["name"], seen["timezone"], seen["locale"]) == (
        "11",
        "Test Store",
        "America/Los_Angeles",
        "en_US",
    )
    assert seen["folders"] == [["21656", "Closed"], ["21654", "New"], ["21655", "Prepared"]]
    assert seen["settings"] == {
        "timezone": "America/Los_Angeles",
        "locale_code": "en_US",
        "orders_per_page": 50,
    }


def test_of_the_settings_only_harmless_ones_are_kept() -> None:
    kept = {
        "timezone": "Asia/Tokyo",
        "store_country": "JP",
        "date_format": "Y-m-d",
        "auto_update_stock_count": "1",
        "currency_symbol": "¥",
    }
    told = {
        "store_email": "a@example.com",
        "admin_email": "b@example.com",
        "store_url": "https://example.com",
        "store_name": "Ada's",
        "custom_css": "a{}",
    }

    seen = view(
        {
            **STORE,
            "settings": {
                **kept,
                **told,
                "weight_unit": {"email": "c@example.com"},
                "locale_code": "d@example.com" * 20,
            },
        },
        KEY,
    )

    assert seen["settings"] == kept


@pytest.mark.parametrize(
    "name",
    [
        "api_key",
        "apiKey",
        "API-KEY",
        "smtp_host",
        "smtp_username",
        "smtp_password",
        "ftp_pass",
        "webhook_secret",
        "access_token",
        "clientSecret",
        "stripe_key",
        "PASSWORD",
        "auth",
        "credentials",
        "private_key_pem",
        "oauth_refresh",
    ],
)
def test_a_name_that_sounds_like_a_secret_is_dropped_at_any_depth(name: str) -> None:
    settings = {name: "hunter2", "carriers": [{"ups": {name: "hunter2", "on": "1"}}]}

    assert without_secrets(settings, KEY) == {"carriers": [{"ups": {"on": "1"}}]}


@pytest.mark.parametrize(
    "name",
    [
        "timezone",
        "store_email",
        "custom_css",
        "monkey",
        "compass",
        "shipping_methods",
        "auto_update_stock_count",
        "security_ip_warn",
        "normalize_phone_numbers",
    ],
)
def test_other_names_stay(name: str) -> None:
    assert without_secrets({name: "x"}, KEY) == {name: "x"}


def test_the_stores_key_is_dropped_under_any_name_and_inside_texts() -> None:
    settings = {
        "note": "the-key-of-this-store",
        "css": "a { url(?k=the-key-of-this-store) }",
        "feeds": ["https://u:pw@ftp.example/x", "https://ok.example"],
    }

    assert without_secrets(settings, KEY) == {"feeds": ["https://ok.example"]}


def test_a_very_short_key_does_not_empty_the_settings() -> None:
    assert without_secrets({"timezone": "Asia/Tokyo", "x": "a"}, Secret("a")) == {
        "timezone": "Asia/Tokyo"
    }


@pytest.mark.parametrize(
    "store", [{}, {"settings": [], "folders": []}, {"settings": None, "folders": "", "name": None}]
)
def test_an_empty_store_is_still_a_store(store: dict[str, Any]) -> None:
    seen = view(store, KEY)

    assert seen["folders"] == []
    assert "None" not in json.dumps(seen)
