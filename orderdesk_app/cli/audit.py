"""`orderdesk audit verify`: whether somebody changed the audit log."""

import argparse
import asyncio
import json
from pathlib import Path

from orderdesk_app import wiring
from orderdesk_app.cli.exit_codes import TAMPERED
from orderdesk_app.context import JsonObject, TenantId
from orderdesk_app.db.audit_chains import REGISTER
from orderdesk_app.db.inspection import look_at
from orderdesk_app.db.migrate import known_revisions
from orderdesk_app.errors import ConfigurationError
from orderdesk_app.observability import configure_logging
from orderdesk_app.services.audit_verification import ChainReport, Finding
from orderdesk_app.settings_reader import UNUSED_BY_STDIO, load_settings


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    audit = commands.add_parser(
        "audit",
        help="check that nobody changed the audit log",
        description="Checks that the audit log is what this installation has written.",
    )
    acts = audit.add_subparsers(title="what to do", metavar="ACT", required=True)
    verify = acts.add_parser(
        "verify",
        help="follow the chains of the rows",
        description=(
            "Follows the chain of each account, beside servers that write. Rows that were erased "
            "with a user or that have expired are no fault. Exit code 3: rows were changed, "
            "deleted, moved or added by somebody else. Keep the checkpoints that it prints outside "
            "of the database: with --since they also show rows that were cut off at the end."
        ),
    )
    verify.add_argument("--tenant", default="", metavar="ID", help="one account alone")
    verify.add_argument(
        "--since",
        action="append",
        default=[],
        type=_tokens,  # read before the folder changes
        metavar="CHECKPOINT",
        help="from this checkpoint on; may be repeated, and @FILE has one a line",
    )
    verify.add_argument("--json", action="store_true", help="for programs: one object a line")
    verify.set_defaults(run=run_verify)


def run_verify(chosen: argparse.Namespace) -> int:
    tokens = [token for tokens in chosen.since for token in tokens]
    return asyncio.run(_verify(chosen.tenant, tokens, as_json=chosen.json))


async def _verify(tenant: str, tokens: list[str], *, as_json: bool) -> int:
    """Prints each chain as soon as it was followed. Raises ConfigurationError without a database of
    this release, as another one may keep its rows in another way.
    """
    settings = load_settings(instead=UNUSED_BY_STDIO)
    configure_logging("WARNING")
    state = look_at(settings.database_url.get_secret_value())
    if state is None or not state.revision:
        raise ConfigurationError("There is no database yet. Run: orderdesk serve")
    if state.revision != known_revisions()[0]:
        raise ConfigurationError(
            "The database has the schema of another release. Run: orderdesk doctor"
        )
    chains = tampered = 0
    async with wiring.open_services(settings) as services:
        verification = services.audit_verification
        since = [verification.read_checkpoint(token) for token in tokens]
        owner = TenantId(tenant) if tenant else None
        async for report in verification.verify(tenant_id=owner, since=since):
            chains += report.chain != REGISTER
            tampered += report.state == "tampered"
            print(json.dumps(_as_json(report)) if as_json else _in_words(report), flush=True)
    if not as_json:
        print(f"{chains:,} chains, {tampered:,} of them tampered with.")
        if not chains:
            print("Nothing was written yet, or all of it was deleted: no row and no chain is left.")
    return TAMPERED if tampered else 0


def _tokens(text: str) -> list[str]:
    """A checkpoint, or those of a file. Raises ArgumentTypeError for one that cannot be read."""
    if not text.startswith("@"):
        return [text]
    try:
        return Path(text[1:]).read_text(encoding="utf-8").split()
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"the file cannot be read: {text[1:]}") from error


def _in_words(report: ChainReport) -> str:
    whose = f"account {report.tenant_id}" if report.tenant_id else "no account"
    counts = {
        "rows are whole": report.whole,
        "erased": report.erased,
        "expired": report.expired,
        "from before the chain": report.unchained,
    }
    words = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
    lines = [f"{report.state.upper()}  chain {report.chain or '-'}, {whose}: {words or 'no rows'}"]
    if report.chain == REGISTER:
        lines = [f"{report.state.upper()}  the number of chains"]
    lines += [f"  {_finding_in_words(finding)}" for finding in report.findings]
    if report.found > len(report.findings):
        lines.append(f"  and {report.found - len(report.findings):,} more")
    if report.checkpoint:
        lines.append(f"  checkpoint {report.checkpoint}")
    return "\n".join(lines)


def _finding_in_words(finding: Finding) -> str:
    where = ""
    if finding.first is not None:
        is_one = finding.first == finding.last
        where = f" row {finding.first}" if is_one else f" rows {finding.first} to {finding.last}"
    row_id = f" ({finding.row_id})" if finding.row_id else ""
    return f"{finding.kind}{where}{row_id}: {finding.words}"


def _as_json(report: ChainReport) -> JsonObject:
    return {
        "chain": report.chain,
        "tenant_id": report.tenant_id,
        "state": report.state,
        "whole": report.whole,
        "erased": report.erased,
        "expired": report.expired,
        "unchained": report.unchained,
        "found": report.found,
        "findings": [
            {
                "kind": finding.kind,
                "words": finding.words,
                "first": finding.first,
                "last": finding.last,
                "row_id": finding.row_id or None,
            }
            for finding in report.findings
        ],
        "checkpoint": report.checkpoint or None,
    }
