"""The database, its schema, and the key that opens what is sealed in it."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from orderdesk_app.cli.doctor.findings import Finding, Subject, note, ok, skipped, wrong
from orderdesk_app.config import Settings
from orderdesk_app.db.inspection import DatabaseState, RootKey, look_at
from orderdesk_app.db.migrate import known_revisions
from orderdesk_app.errors import ConfigurationError
from orderdesk_app.security.kms import MISSING_KEY, KmsKeys, find_kms_key, kms_keys_of

_MOST_SECONDS_APART = 5.0


def findings(settings: Settings, wrong_names: frozenset[str]) -> list[Finding]:
    """Blocks."""
    if "DATABASE_URL" in wrong_names:
        because = "DATABASE_URL is wrong"
        return [
            skipped(subject, because)
            for subject in (Subject.DATABASE, Subject.MIGRATIONS, Subject.KEYRING)
        ]
    before = datetime.now(UTC)
    try:
        state = look_at(settings.database_url.get_secret_value())
    except ConfigurationError as error:
        return [
            wrong(Subject.DATABASE, str(error)),
            skipped(Subject.MIGRATIONS, "the database cannot be used"),
            skipped(Subject.KEYRING, "the database cannot be used"),
        ]
    return [
        *_of_database(state, settings),
        _of_schema(state),
        *_of_keyring(state, settings, wrong_names),
        *_of_clock(state, before, datetime.now(UTC)),
    ]


def _of_database(state: DatabaseState | None, settings: Settings) -> Iterator[Finding]:
    if state is None:
        yield ok(Subject.DATABASE, "there is none yet; the first start makes it")
        return
    if state.fault:
        yield wrong(Subject.DATABASE, f"DATABASE_URL: {state.fault}")
    else:
        kind = "SQLite" if state.most_connections is None else "Postgres"
        yield ok(Subject.DATABASE, f"{kind} can be read and written")
    opened = settings.workers * (settings.database_pool_size + settings.database_pool_overflow + 1)
    if state.most_connections is not None and opened >= state.most_connections:
        yield note(
            Subject.DATABASE,
            f"the workers of this host may open {opened} connections, and Postgres allows "
            f"{state.most_connections}. Lower DATABASE_POOL_SIZE, or raise its max_connections.",
        )


def _of_schema(state: DatabaseState | None) -> Finding:
    if state is None or not state.revision:
        return note(
            Subject.MIGRATIONS,
            "there are no tables yet. The start makes them, or: orderdesk migrate",
        )
    try:
        known = known_revisions()
    except ConfigurationError:
        return wrong(
            Subject.MIGRATIONS,
            "the migrations of this release are missing: the folder alembic belongs beside the "
            "package. Install from the project folder.",
        )
    if state.revision == known[0]:
        return ok(Subject.MIGRATIONS, f"the schema is that of this release ({known[0]})")
    if state.revision in known:
        return wrong(
            Subject.MIGRATIONS,
            f"the schema is older ({state.revision}) than this release needs ({known[0]}). Make a "
            "backup, and run: orderdesk migrate",
        )
    return wrong(
        Subject.MIGRATIONS,
        "this database was migrated by a newer release. Start that release, or restore an older "
        "backup.",
    )


def _of_keyring(
    state: DatabaseState | None, settings: Settings, wrong_names: frozenset[str]
) -> Iterator[Finding]:
    for name in ("MCP_KMS_KEY", "MCP_KMS_KEY_PREVIOUS"):
        if name in wrong_names:
            yield skipped(Subject.KEYRING, f"{name} is wrong")
            return
    root = state.root_key if state else None
    try:
        yield from _opened(root, state.wrapped_by if state else {}, settings)
    except ConfigurationError as error:
        yield wrong(Subject.KEYRING, str(error))


def _opened(
    root: RootKey | None, wrapped_by: Mapping[str, int], settings: Settings
) -> Iterator[Finding]:
    """Raises ConfigurationError where the key is missing or another."""
    key = find_kms_key(settings.mcp_kms_key.get_secret_value(), settings.data_dir)
    if root is None:
        yield ok(Subject.KEYRING, "nothing is sealed yet")
        return
    if key is None:
        raise ConfigurationError(MISSING_KEY.format(path=settings.data_dir / "kms.key"))
    keys = kms_keys_of(key, settings.mcp_kms_key_previous.get_secret_value())
    keys.unwrap(root.wrapped, row_id=root.row_id, key_id=root.key_id)
    yield ok(Subject.KEYRING, "MCP_KMS_KEY opens what is sealed")
    yield from _of_rotation(keys, wrapped_by)


def _of_rotation(keys: KmsKeys, wrapped_by: Mapping[str, int]) -> Iterator[Finding]:
    total = sum(wrapped_by.values())
    lost = sum(number for name, number in wrapped_by.items() if not keys.opens(name))
    waiting = total - lost - wrapped_by.get(keys.current.id, 0)
    if lost:
        yield wrong(
            Subject.KEYRING,
            f"{lost} of {total} keys are wrapped by one that is neither MCP_KMS_KEY nor in "
            "MCP_KMS_KEY_PREVIOUS. Add it there, and run: orderdesk rotate-keys",
        )
    elif waiting:
        yield note(
            Subject.KEYRING,
            f"{waiting} of {total} keys are wrapped by a key of MCP_KMS_KEY_PREVIOUS. When every "
            "server has both keys, run: orderdesk rotate-keys",
        )
    elif keys.previous:
        yield note(
            Subject.KEYRING,
            "nothing is wrapped by a key of MCP_KMS_KEY_PREVIOUS. Remove it once no server needs "
            "it.",
        )


def _of_clock(state: DatabaseState | None, before: datetime, after: datetime) -> Iterator[Finding]:
    if state is None or state.clock is None:
        return  # a file has no clock of its own
    ahead = max((before - state.clock).total_seconds(), (state.clock - after).total_seconds())
    if ahead > _MOST_SECONDS_APART:
        yield wrong(
            Subject.CLOCK,
            f"this machine and the database's differ by {ahead:.0f} s. Let NTP set both.",
        )
    else:
        yield ok(Subject.CLOCK, "agrees with that of the database")
