"""`orderdesk rotate-keys`: wraps the keys of this installation by a new MCP_KMS_KEY."""

import argparse
import asyncio
import json
import sys

from orderdesk_app.cli.exit_codes import FAILED
from orderdesk_app.cli.opened import SHELL, existing_services
from orderdesk_app.services.key_rotation import Rotated, WrappingKey


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    rotate = commands.add_parser(
        "rotate-keys",
        help="wrap every key again, by a new MCP_KMS_KEY",
        description=(
            "Wraps the keys of this installation by MCP_KMS_KEY which a key of "
            "MCP_KMS_KEY_PREVIOUS has wrapped, while servers run. Every server must have both keys "
            "(docs/operations.md). It may be stopped and run again at any time."
        ),
    )
    rotate.add_argument(
        "--check",
        action="store_true",
        help="change nothing; say how many are wrapped by which key (exit code 1: not all are new)",
    )
    rotate.add_argument("--json", action="store_true", help="for programs")
    rotate.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    done, keys = asyncio.run(_run(only_looks=chosen.check))
    is_complete = all(key.is_current for key in keys if key.rows)
    if chosen.json:
        told = [{"key_id": k.id, "rows": k.rows, "is_current": k.is_current} for k in keys]
        print(json.dumps({"rewrapped": done.rows, "keys": told}, indent=2))
    else:
        if not chosen.check:
            print(f"{done.rows:,} keys were wrapped again.")
        for key in keys:
            print(f"{key.id}  {key.rows:>9,} keys  {_setting_of(key)}")
        if is_complete and not chosen.check:
            print("MCP_KMS_KEY_PREVIOUS is needed no more: remove it from every server.")
    if any(key.rows and not key.is_open for key in keys):
        print(
            "orderdesk: some keys are wrapped by one that is neither MCP_KMS_KEY nor in "
            "MCP_KMS_KEY_PREVIOUS. Add it there, and run this again.",
            file=sys.stderr,
        )
    return 0 if is_complete else FAILED


async def _run(*, only_looks: bool) -> tuple[Rotated, list[WrappingKey]]:
    async with existing_services() as services:
        rotation = services.key_rotation
        done = Rotated(0, 0) if only_looks else await rotation.rotate(SHELL)
        return done, await rotation.wrapping_keys()


def _setting_of(key: WrappingKey) -> str:
    if key.is_current:
        return "MCP_KMS_KEY"
    return "MCP_KMS_KEY_PREVIOUS" if key.is_open else "a key that is not set"
