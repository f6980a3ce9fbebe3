"""Whether the time of an answer tells strangers which e-mail addresses have accounts: known and
unknown ones in turn, in random order, at each form that takes an address; on SQLite and Postgres.
"""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter

import httpx

from benchmarks import users, world
from benchmarks.figures import Figure
from benchmarks.postgres import postgres
from benchmarks.processes import cores, free_port, orderdesk_serve, serving, stay_on
from orderdesk_app import wiring
from orderdesk_app.db.migrate import upgrade
from orderdesk_app.settings_reader import load_settings

TRIES = 1000  # of each kind
USERS = 2_000
FORMS = {"sign-up": "/sign-up", "resend": "/sign-up/again", "sign-in link": "/sign-in/mail"}
# Every network and every mailbox is met once at each form: limits are not the subject.
_SETTINGS = {
    "ENABLE_PUBLIC_SIGNUP": "true",
    "TRUST_PROXY": "1",
    "SIGNUP_RATE_LIMIT_PER_HOUR": "100000",
    "WEBUI_RATE_LIMIT_SIGNUP": "10000",
}


def measure(folder: Path, *, has_webui: bool) -> list[Figure]:
    if not has_webui:
        return []  # the forms are the web app's
    figures = _on("SQLite", None, folder)
    with postgres() as url:
        return figures + _on("Postgres", url, folder)


def _on(engine: str, url: str | None, folder: Path) -> list[Figure]:
    port = free_port()
    given = {
        **world.environment(
            folder, port=port, upstream_port=free_port(), database_url=url, has_webui=True
        ),
        **_SETTINGS,
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
    }
    known = asyncio.run(_fill(given))
    ours, load = cores()
    log = folder / f"{engine}.log"
    stay_on(load)
    with (
        serving("ours", orderdesk_serve(), port, core=ours, log=log, environment=given),
        httpx.Client(base_url=given["PUBLIC_URL"], timeout=30) as http,
    ):
        return [_compare(f"{name}, {engine}", http, path, known) for name, path in FORMS.items()]


async def _fill(given: dict[str, str]) -> list[str]:
    """The addresses of as many users as there are tries, who have an account each."""
    settings = load_settings(given)
    upgrade(settings.database_url.get_secret_value())
    async with wiring.open_services(settings) as services:
        await users.fill(services.database, rows=USERS)
        rows = await services.database.query(
            "SELECT email FROM users WHERE email IS NOT NULL AND disabled_at IS NULL "
            "ORDER BY id LIMIT :count",
            {"count": TRIES},
        )
    assert len(rows) == TRIES, len(rows)
    return [str(email) for (email,) in rows]


def _compare(name: str, http: httpx.Client, path: str, known: list[str]) -> Figure:
    networks = iter(
        f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}" for number in range(2**20)
    )
    took: dict[bool, list[float]] = {True: [], False: []}
    ask = _asker(http, path)
    for address in known[:20]:  # to warm up
        ask(address, next(networks))
    # Not in pairs: what a known address leaves to do would then be met by its unknown twin.
    tries = [(is_known, address) for address in known for is_known in (True, False)]
    random.shuffle(tries)
    for is_known, address in tries:
        email = address if is_known else address.replace("user", "uzer")
        took[is_known].append(ask(email, next(networks)) * 1000)
    difference = abs(median(took[True]) - median(took[False]))
    spread = min(_interquartile_range(values) for values in took.values())
    return Figure(
        f"known less unknown address: {name}",
        f"{difference:.3f} ms",
        f"less than {spread:.3f} ms",
        difference < spread,
    )


def _asker(http: httpx.Client, path: str) -> Callable[[str, str], float]:
    origin = {"origin": str(http.base_url).rstrip("/")}

    def ask(email: str, network: str) -> float:
        begun = perf_counter()
        answer = http.post(
            path, data={"email": email}, headers={**origin, "x-forwarded-for": network}
        )
        seconds = perf_counter() - begun
        if answer.status_code not in (200, 303) or "error=" in answer.headers.get("location", ""):
            raise RuntimeError(f"{path} answered {answer.status_code}: {answer.text[:300]}")
        return seconds

    return ask


def _interquartile_range(values: list[float]) -> float:
    first, _, third = quantiles(values, n=4)
    return third - first
