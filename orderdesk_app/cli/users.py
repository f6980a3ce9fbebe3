"""`orderdesk users`: who uses this installation, who runs it, and who may go on."""

import argparse
import asyncio
import base64
import binascii
import json
from datetime import datetime

from orderdesk_app.cli.opened import SHELL, existing_services
from orderdesk_app.context import JsonObject
from orderdesk_app.errors import ValidationFailed
from orderdesk_app.mail.message import one_line
from orderdesk_app.services.user_filter import (
    SORTS,
    STATES,
    UserFilter,
    UserPlace,
    read_user_filter,
    read_user_place,
)
from orderdesk_app.services.user_list import PAGE_ROWS, UserPage, UserRow

_MOST_ROWS = 1000
_WIDEST = 40
_HEADINGS = ("ID", "NAME", "E-MAIL", "STATE", "ROLE", "SIGNED IN", "ACTIVE", "STORES", "CALLS")
_ACTS = {
    "make-operator": ("make somebody an operator", "is an operator now"),
    "remove-operator": ("take that away again", "is no operator any more"),
    "disable": ("sign somebody out everywhere, and let nothing of theirs in", "is disabled now"),
    "enable": ("let somebody in again", "may sign in again"),
}


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    users = commands.add_parser(
        "users",
        help="list users, make operators, disable and enable",
        description=(
            "Lists the users of this installation, makes operators, and disables and enables. "
            "Servers that run hear of it within a second. Audit rows say that it was the shell. "
            "The last operator cannot be taken away."
        ),
    )
    acts = users.add_subparsers(title="what to do", metavar="ACT", required=True)
    _add_list(acts)
    for name, (words, _) in _ACTS.items():
        act = acts.add_parser(name, help=words, description=f"{words[0].upper()}{words[1:]}.")
        act.add_argument("user", metavar="USER", help="an id, an e-mail address, or a unique name")
        act.add_argument("--json", action="store_true", help="for programs")
        act.set_defaults(run=run_act, act=name)


def _add_list(acts: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    listing = acts.add_parser(
        "list",
        help="users, page by page",
        description="Prints a page of users, and where the next one begins.",
    )
    listing.add_argument("--search", default="", help="how a name or an e-mail address begins")
    listing.add_argument("--state", default="", help=f"one of: {', '.join(STATES)}")
    listing.add_argument("--role", default="", help="their highest: owner, member or viewer")
    listing.add_argument("--sort", default="name", help=f"one of: {', '.join(SORTS)}")
    listing.add_argument("--descending", action="store_true", help="the last ones first")
    listing.add_argument(
        "--count", type=int, default=PAGE_ROWS, help=f"at most {_MOST_ROWS:,} (by default 50)"
    )
    listing.add_argument("--after", default="", help="where a page before this one ended")
    listing.add_argument("--json", action="store_true", help="for programs")
    listing.set_defaults(run=run_list)


def run_list(chosen: argparse.Namespace) -> int:
    if not 1 <= chosen.count <= _MOST_ROWS:
        raise ValidationFailed(f"--count is a number from 1 to {_MOST_ROWS:,}.")
    wanted = read_user_filter(
        {
            "search": chosen.search,
            "state": chosen.state,
            "role": chosen.role,
            "sort": chosen.sort,
            "order": "descending" if chosen.descending else "",
        }
    )
    page = asyncio.run(_page(wanted, chosen.count, _place(chosen.after, wanted.sort)))
    following = _token(page.next) if page.next else ""
    if chosen.json:
        rows = [_as_json(row) for row in page.rows]
        # ASCII alone: a name must not move the cursor of a terminal
        print(json.dumps({"users": rows, "next": following or None}, indent=2))
    else:
        print(table(page.rows))
        if following:
            print(f"\nMore with the same options and: --after {following}")
    return 0


def run_act(chosen: argparse.Namespace) -> int:
    row = asyncio.run(_do(chosen.act, chosen.user))
    if chosen.json:
        print(json.dumps(_as_json(row), indent=2))
    else:
        print(f"{_shown(row.name)} ({row.id}) {_ACTS[chosen.act][1]}.")
    return 0


async def _page(wanted: UserFilter, count: int, after: UserPlace | None) -> UserPage:
    async with existing_services() as services:
        users = services.users
        return await users.page(SHELL, wanted, count=count, after=after)


async def _do(act: str, text: str) -> UserRow:
    async with existing_services() as services:
        users = services.users
        user = await users.find(SHELL, text)
        if act == "disable":
            await users.disable(SHELL, user.id)
        elif act == "enable":
            await users.enable(SHELL, user.id)
        else:
            await users.set_operator(SHELL, user.id, is_operator=act == "make-operator")
        return await users.find(SHELL, user.id)


def table(rows: list[UserRow]) -> str:
    """One line a user. Columns are two spaces apart, which no value has in it."""
    if not rows:
        return "No user fits."
    lines = [_HEADINGS, *(_cells(row) for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(_HEADINGS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _cells(row: UserRow) -> tuple[str, ...]:
    return (
        row.id,
        _shown(row.name),
        _shown(row.address_words),
        row.state,
        row.role or "-",
        _day(row.last_sign_in_at),
        _day(row.last_active_at),
        str(row.stores),
        str(row.calls),
    )


def _shown(text: str) -> str:
    return one_line(text, _WIDEST) or "-"


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else "never"


def _as_json(row: UserRow) -> JsonObject:
    return {
        "id": row.id,
        "name": row.name,
        "email": row.email,
        "unverified_email": row.unverified_email,
        "state": row.state,
        "role": row.role or None,
        "created_at": row.created_at.isoformat(),
        "last_sign_in_at": row.last_sign_in_at.isoformat() if row.last_sign_in_at else None,
        "last_active_at": row.last_active_at.isoformat() if row.last_active_at else None,
        "stores": row.stores,
        "calls": row.calls,
    }


def _token(place: UserPlace) -> str:
    """A place that a shell takes as one word: it has a user's name in it."""
    return base64.urlsafe_b64encode(str(place).encode()).decode().rstrip("=")


def _place(token: str, sort: str) -> UserPlace | None:
    try:
        text = base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise ValidationFailed("--after is what the page before printed, whole.") from None
    return read_user_place({"after": text}, "after", sort)
