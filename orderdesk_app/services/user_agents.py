"""The browser and the system that a User-Agent header names: "Firefox on Windows".

A header says what its sender likes, so this is a help for people and no proof. Libraries know
thousands of devices by as many regular expressions; a person tells their own browsers apart by two
words.
"""

# The first name that stands in the header counts: browsers call themselves by their ancestors too.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("YaBrowser/", "Yandex Browser"),
    ("DuckDuckGo/", "DuckDuckGo"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("HeadlessChrome/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Version/", "Safari"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "Mac"),  # a new iPad says so too
    ("Linux", "Linux"),
)


def device_name(user_agent: str) -> str:
    """Browser and system as far as they are known: "Chrome on Android", "Safari", "A browser"."""
    browser = _first(_BROWSERS, user_agent)
    system = _first(_SYSTEMS, user_agent)
    if not browser:
        return f"A browser on {system}" if system else "A browser"
    return f"{browser} on {system}" if system else browser


def _first(names: tuple[tuple[str, str], ...], user_agent: str) -> str:
    return next((words for part, words in names if part in user_agent), "")
