"""`orderdesk mail-test`: one mail, and what went wrong with it."""

import argparse
import asyncio
import sys

from orderdesk_app.cli.exit_codes import FAILED
from orderdesk_app.mail.addresses import email_address
from orderdesk_app.mail.sender import MailFailed
from orderdesk_app.services.mailer import send_trial, sender_of
from orderdesk_app.settings_reader import load_settings


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    trial = commands.add_parser(
        "mail-test",
        help="send one mail to an address, and say what went wrong",
        description=(
            "Sends a test mail with the settings of EMAIL_PROVIDER and SMTP_…, at once and once. "
            "Says what the mail server answered, and what to change."
        ),
    )
    trial.add_argument("address", metavar="ADDRESS", help="such as you@example.com")
    trial.set_defaults(run=run_mail_test)


def run_mail_test(chosen: argparse.Namespace) -> int:
    settings = load_settings()
    address = email_address(chosen.address)
    try:
        asyncio.run(send_trial(sender_of(settings), address, settings.public_url))
    except MailFailed as failure:
        said = f' It said: "{failure.said}"' if failure.said else ""
        print(f"orderdesk: {failure.words}{said}", file=sys.stderr)
        return FAILED
    if settings.email_provider == "console":
        print(
            "orderdesk: this was printed and not sent. Set EMAIL_PROVIDER=smtp to send mail.",
            file=sys.stderr,
        )
    else:
        print(
            f"The mail server {settings.smtp_host}:{settings.smtp_port} took the mail. Look into "
            "the mailbox; if it is not there, among its spam."
        )
    return 0
