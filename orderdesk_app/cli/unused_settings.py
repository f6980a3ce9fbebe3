"""What is said of settings that do nothing."""

import os
import sys

from orderdesk_app.settings_reader import unused_settings


def sentences_of_unused_settings() -> list[str]:
    """One for each setting that does nothing. Raises ConfigurationError for a faulty `.env`."""
    return unused_settings(os.environ)


def warn_of_unused_settings() -> None:
    """Print them on standard error."""
    for sentence in sentences_of_unused_settings():
        print(f"orderdesk: {sentence}", file=sys.stderr)
