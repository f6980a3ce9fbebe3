"""Which browser and system a User-Agent header names."""

import pytest

from orderdesk_app.services.user_agents import device_name

MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/"
WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
ANDROID = "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko)"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15"


@pytest.mark.parametrize(
    ("user_agent", "device"),
    [
        (f"{WINDOWS} Gecko/20100101 Firefox/132.0", "Firefox on Windows"),
        (f"{WINDOWS} AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
         "Chrome on Windows"),
        (f"{WINDOWS} AppleWebKit/537.36 Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0",
         "Edge on Windows"),
        (f"{WINDOWS} AppleWebKit/537.36 Chrome/130.0.0.0 Safari/537.36 OPR/115.0",
         "Opera on Windows"),
        (f"{MAC}605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15", "Safari on Mac"),
        (f"{IPHONE} (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
         "Safari on iPhone"),
        (f"{IPHONE} (KHTML, like Gecko) CriOS/130.0 Mobile/15E148 Safari/604.1",
         "Chrome on iPhone"),
        (f"{IPHONE} (KHTML, like Gecko) FxiOS/132.0 Mobile/15E148 Safari/604.1",
         "Firefox on iPhone"),
        (f"{ANDROID} Chrome/130.0.0.0 Mobile Safari/537.36", "Chrome on Android"),
        (f"{ANDROID} SamsungBrowser/27.0 Chrome/125.0 Mobile Safari/537.36",
         "Samsung Internet on Android"),
        ("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) Chrome/130.0.0.0 Safari/537.36",
         "Chrome on ChromeOS"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
         "Firefox on Linux"),
        ("curl/8.5.0", "A browser"),
        ("Konqueror (Linux)", "A browser on Linux"),
        ("", "A browser"),
        ("<script>alert(1)</script>\r\nX: y" * 9, "A browser"),
    ],
)  # fmt: skip
def test_people_are_told_browser_and_system(user_agent: str, device: str) -> None:
    assert device_name(user_agent) == device
