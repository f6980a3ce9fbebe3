"""What is said of settings that do nothing."""

import os
import sys

from orderdesk_app.settings_reader import unused_settings


def warn_of_unused_settings() -> None:
    """Print a sentence for each setting that does nothing, on standard error."""
    for sentence in unused_settings(os.environ):
        print(f"orderdesk: {sentence}", file=sys.stderr)
