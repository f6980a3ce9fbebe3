"""`orderdesk doctor`: looks at everything that a server needs, and says what is wrong and what to
do. It changes nothing, and works where the start itself is refused.
"""

import argparse
import asyncio
import json
import sys

from orderdesk_app.cli.doctor import configuration, database, files, mail, upstream
from orderdesk_app.cli.doctor.findings import Finding, Outcome, Subject
from orderdesk_app.cli.exit_codes import FAILED
from orderdesk_app.config import Settings
from orderdesk_app.settings_reader import settings_as_given

_MARKS = {
    Outcome.OK: "ok",
    Outcome.NOTE: "note",
    Outcome.WRONG: "WRONG",
    Outcome.SKIPPED: "-",
}


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    doctor = commands.add_parser(
        "doctor",
        help="look at settings, database, mail, clock, Order Desk and disk, and say what is wrong",
        description=(
            "Says in one line each what is wrong and what to do, and ends with 1 when something "
            "is. It changes nothing, sends no mail, and works beside a server that runs and where "
            "a start is refused."
        ),
    )
    doctor.add_argument("--json", action="store_true", help="for programs")
    doctor.set_defaults(run=run_doctor)


def run_doctor(chosen: argparse.Namespace) -> int:
    faults = configuration.faults()
    findings = configuration.findings(faults)
    findings += asyncio.run(examine(settings_as_given(), configuration.names_in(faults)))
    is_fine = all(finding.outcome is not Outcome.WRONG for finding in findings)
    if chosen.json:
        report = {"ok": is_fine, "checks": [finding.as_json() for finding in findings]}
        print(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        for finding in findings:
            print(f"{_MARKS[finding.outcome]:<5}  {finding.subject:<13}  {finding.words}")
        if not is_fine:
            print(
                "orderdesk: something is wrong. Mend the lines with WRONG, and run: orderdesk "
                "doctor",
                file=sys.stderr,
            )
    return 0 if is_fine else FAILED


async def examine(settings: Settings, wrong: frozenset[str]) -> list[Finding]:
    """What every check found, except that of the settings; `wrong` are settings whose values
    cannot be used, with the checks that need them.
    """
    of_database, of_mail, of_upstream = await asyncio.gather(
        asyncio.to_thread(database.findings, settings, wrong),
        mail.findings(settings, wrong),
        upstream.findings(settings, wrong),
    )
    of_files = files.findings(settings, wrong)
    found = [*of_database, *of_mail, *of_upstream, *of_files]
    order = [*Subject]
    return sorted(found, key=lambda finding: order.index(finding.subject))
