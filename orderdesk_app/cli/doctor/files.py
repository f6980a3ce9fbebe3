"""Room on the disk, and who may read the files that hold secrets."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from orderdesk_app.cli.doctor.findings import Finding, Subject, note, ok, skipped, wrong
from orderdesk_app.config import Settings
from orderdesk_app.db.engine import sqlite_file
from orderdesk_app.errors import ConfigurationError
from orderdesk_app.security.kms import KEY_FILE

LEAST_FREE = 100 * 2**20
_START_AS_OWNER = "Start as the user that it belongs to, or change its owner with chown."
_MIGRATION_COPIES = 3  # docs/operations.md, Upgrade


def findings(settings: Settings, wrong_names: frozenset[str]) -> list[Finding]:
    if "DATABASE_URL" in wrong_names:
        because = "DATABASE_URL, which names the folder, is wrong"
        return [skipped(Subject.DISK, because), skipped(Subject.FILES, because)]
    folder = settings.data_dir
    database = _database_file(settings)
    if folder.is_dir() and not os.access(folder, os.X_OK):
        closed = f"this user may not look into {folder}. {_START_AS_OWNER}"
        return [_of_disk(folder, None), wrong(Subject.FILES, closed)]
    of_files = [*_of_files(_secret_files(folder, database))]
    return [
        _of_disk(folder, database),
        *(of_files or [ok(Subject.FILES, f"nobody else may read what is in {folder}")]),
    ]


def _database_file(settings: Settings) -> Path | None:
    url = settings.database_url.get_secret_value()
    if not url.startswith("sqlite:///"):
        return None
    try:
        return sqlite_file(url)
    except ConfigurationError:
        return None  # the database's check says why


def _of_disk(folder: Path, database: Path | None) -> Finding:
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(there).free
    if free < LEAST_FREE:
        return wrong(
            Subject.DISK,
            f"{there} has {free // 2**20} MiB free. Make room: a full disk stops every write.",
        )
    size = database.stat().st_size if database and database.is_file() else 0
    if free < size * _MIGRATION_COPIES:
        return note(
            Subject.DISK,
            f"{there} has {free // 2**20} MiB free. An upgrade may need up to "
            f"{size * _MIGRATION_COPIES // 2**20} MiB, three times the database.",
        )
    return ok(Subject.DISK, f"{there} has {free // 2**20:,} MiB free")


def _secret_files(folder: Path, database: Path | None) -> Iterator[Path]:
    yield folder / KEY_FILE
    for path in (database, folder / "cache.db"):
        if path is not None:
            for ending in ("", "-wal", "-shm"):
                yield path.with_name(f"{path.name}{ending}")


def _of_files(paths: Iterator[Path]) -> Iterator[Finding]:
    for path in paths:
        if not path.is_file():
            continue
        mode = path.stat().st_mode & 0o777
        if mode & 0o077:
            yield wrong(
                Subject.FILES,
                f"others on this machine may read {path} (mode {mode:04o}). Run: chmod 600 {path}",
            )
        if not os.access(path, os.R_OK):
            yield wrong(
                Subject.FILES,
                f"this user may not read {path}. {_START_AS_OWNER}",
            )
