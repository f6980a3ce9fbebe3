"""Fills a database with so many tenants, in seconds: each with an owner, a key, a store and a
session, some with a second person.
"""

from orderdesk_app.context import Secret
from orderdesk_app.security.digests import digest
from orderdesk_app.security.tokens import new_access_key
from orderdesk_app.wiring import Services

_NUMBERS = (
    "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :count) "
)
_FIRST = ("Ada", "Bert", "Chioma", "Dmitri", "Elif", "Fatou", "Grace", "Hiro", "Ines", "Jonas")
_LAST = ("Okafor", "Larsen", "Ito", "Novak", "Silva", "Becker", "Moreau", "Khan", "Rossi", "Ng")
_NAME = "{first} || ' ' || {last} || ' ' || n"
# Statements in the order in which rows need each other. Where a value is another in Postgres, it
# stands in braces.
_FILL = (
    "INSERT INTO tenants (id, name, created_at) SELECT 'tenant' || n, 'Shop ' || n, {past} "
    "FROM numbers",
    "INSERT INTO users (id, name, email, is_operator, created_at, disabled_at, last_sign_in_at, "
    "last_active_at) SELECT 'user' || n, {name}, 'person' || n || '@example.net', {false}, {past}, "
    "CASE WHEN n % 50 = 7 THEN {now} END, CASE WHEN n % 10 > 0 THEN {past} END, "
    "CASE WHEN n % 5 > 0 THEN {past} END FROM numbers",
    "INSERT INTO memberships (tenant_id, user_id, role, created_at) SELECT 'tenant' || n, "
    "'user' || n, 'owner', {past} FROM numbers",
    "INSERT INTO memberships (tenant_id, user_id, role, created_at) SELECT 'tenant' || n, "
    "'user' || (n + 1), CASE WHEN n % 2 = 0 THEN 'member' ELSE 'viewer' END, {past} FROM numbers "
    "WHERE n % 5 = 0 AND n < :count",
    "INSERT INTO credentials (id, tenant_id, user_id, kind, name, digest, hint, scopes, "
    "created_at) SELECT 'key' || n, 'tenant' || n, 'user' || n, 'access', 'Key', {digest}, 'wxyz', "
    "{scopes}, {past} FROM numbers",
    "INSERT INTO stores (id, tenant_id, store_id, name, label, api_url, api_key, is_sandbox, "
    "timezone, folders, settings, created_at, updated_at) SELECT 'store' || n, 'tenant' || n, "
    "{text_n}, 'Shop ' || n, '', 'https://app.orderdesk.me/api/v2', {digest}, {false}, 'UTC', "
    "{no_folders}, {no_settings}, {past}, {past} FROM numbers",
    "INSERT INTO sessions (id, tenant_id, user_id, method, created_at, proved_at, seen_at, "
    "expires_at, address, user_agent) SELECT 'session' || n, 'tenant' || n, 'user' || n, 'key', "
    "{past}, {past}, {now}, {later}, '203.0.113.9', 'Firefox' FROM numbers",
)
_SQLITE = {
    "now": "strftime('%Y-%m-%d %H:%M:%f000', 'now')",
    "past": "strftime('%Y-%m-%d %H:%M:%f000', 'now', '-' || (n * 7 % 5000000) || ' seconds')",
    "later": "strftime('%Y-%m-%d %H:%M:%f000', 'now', '+1 day')",
    "digest": "randomblob(32)",
    "false": "0",
    "text_n": "CAST(n AS TEXT)",
    "scopes": "json_array('orders' || ':' || 'read')",  # a colon and letters would be a parameter
    "no_folders": "'[]'",
    "no_settings": "'{}'",
}
_POSTGRES = {
    "now": "now()",
    "past": "now() - (n * 7 % 5000000) * interval '1 second'",
    "later": "now() + interval '1 day'",
    "digest": "sha256(('key' || n)::bytea)",
    "false": "false",
    "text_n": "n::text",
    "scopes": "json_build_array('orders' || ':' || 'read')",
    "no_folders": "'[]'::json",
    "no_settings": "'{}'::json",
}


async def fill(services: Services, count: int, *, keys: int = 0) -> list[Secret]:
    """Add `count` tenants to a database that has none of them. Returns access keys that work, of so
    many tenants in equal distances.
    """
    database = services.database
    form = _SQLITE if database.is_sqlite else _POSTGRES
    names = {"first": _of(_FIRST, "n"), "last": _of(_LAST, "(n / 10)")}
    for statement in _FILL:
        sql = statement.format(**form, name=_NAME.format(**names))
        place = sql.index("SELECT ")
        words = f"{sql[:place]}{_NUMBERS}{sql[place:]}"
        await database.execute(words, {"count": count})
    made = [new_access_key() for _ in range(keys)]
    for number, key in enumerate(made):
        place = 1 + number * (count // keys)
        await database.execute(
            "UPDATE credentials SET digest = :digest WHERE id = :id",
            {
                "digest": digest(services.keyring.digest_key, key.reveal()),
                "id": f"key{place}",
            },
        )
        await database.execute(
            "UPDATE users SET disabled_at = NULL WHERE id = :id", {"id": f"user{place}"}
        )
    await database.execute("ANALYZE", {})  # as Postgres does by itself within a minute
    return made


def _of(names: tuple[str, ...], number: str) -> str:
    """SQL for one of the names."""
    cases = " ".join(f"WHEN {place} THEN '{name}'" for place, name in enumerate(names))
    return f"CASE {number} % {len(names)} {cases} END"
