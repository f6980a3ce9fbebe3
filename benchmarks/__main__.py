"""Measures everything and prints one table: `python -m benchmarks [PART …] [--without-webui]`.

Exit code 1 when a target is missed.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks import (
    added_time,
    audit,
    enumeration,
    home,
    hostile,
    rates,
    start,
    tenants,
    together,
    users,
)
from benchmarks.figures import Figure, table

PARTS = {
    "start": start.measure,
    "rates": rates.measure,
    "added_time": added_time.measure,
    "together": together.measure,
    "home": home.measure,
    "hostile": hostile.measure,
    "users": users.measure,
    "audit": audit.measure,
    "tenants": tenants.measure,
    "enumeration": enumeration.measure,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "parts",
        nargs="*",
        metavar="PART",
        help=f"which figures: {', '.join(PARTS)}; all when left out",
    )
    parser.add_argument("--without-webui", action="store_true", help="serve /mcp alone")
    chosen = parser.parse_args()
    figures: list[Figure] = []
    for name in chosen.parts or PARTS:
        print(f"Measuring {name} …", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="orderdesk-bench-") as folder:
            figures += PARTS[name](Path(folder), has_webui=not chosen.without_webui)
    print(table(figures))
    return 0 if all(figure.passed is not False for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
