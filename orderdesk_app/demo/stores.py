"""GET /store: folders and settings, secrets in clear among them, as theirs has (section 6.9)."""

from orderdesk_app.demo.body import Body
from orderdesk_app.demo.orders import FOLDERS

# it opens nothing; tests look for it where it must never stand
SMTP_PASSWORD = "sandbox-smtp-password-5f2c"  # noqa: S105


def store_view(store_id: str, api_key: str, timezone: str) -> Body:
    return {
        "id": store_id,
        "name": f"Fern & Fog (sandbox {store_id})",
        "settings": {
            "app_version": "2",
            "timezone": timezone,
            "locale_code": "en_US",
            "store_country": "US",
            "store_url": "https://shop.example.com",
            "store_email": "shop@example.com",
            "admin_email": "owner@example.com",
            "date_format": "Y-m-d H:i:s",
            "short_date_format": "Y-m-d",
            "orders_per_page": 50,
            "api_key": api_key,
            "smtp_server": "smtp.example.com",
            "smtp_port": "587",
            "smtp_username": "shop@example.com",
            "smtp_password": SMTP_PASSWORD,
            "shipping_methods": [],
            "auto_update_stock_count": "",
            "auto_create_inventory_items": "1",
            "normalize_capitalization": "",
            "normalize_phone_numbers": "",
            "report_frequency": "daily",
            "dashboard_report_type": "",
            "custom_css": "",
            "limit_address_field_char_length": 0,
            "country_name_format": "code",
            "all_orders_name": "All Orders",
            "all_orders_column_view": [],
            "default_checkout_data_fields": [],
        },
        "folders": dict(FOLDERS),
    }
