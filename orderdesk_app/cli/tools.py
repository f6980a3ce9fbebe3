"""`orderdesk tools`: the catalogue of tools."""

import argparse
import json
import os
import sys

from orderdesk_app.tools.catalogue import every_tool


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    tools = commands.add_parser(
        "tools",
        help="print the catalogue of tools",
        description=(
            "Prints every tool with its title, what it needs and whether it changes anything."
        ),
    )
    tools.add_argument("--json", action="store_true", help="with descriptions and schemas")
    tools.set_defaults(run=run_tools)


def run_tools(chosen: argparse.Namespace) -> int:
    try:
        print_catalogue(as_json=chosen.json)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader closed the pipe (`| head`). Discard what is still buffered: flushing it at exit
        # would make Python print an error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def print_catalogue(*, as_json: bool) -> None:
    tools = every_tool()
    if as_json:
        print(
            json.dumps(
                [
                    {
                        "name": t.name,
                        "title": t.title,
                        "description": t.description,
                        "scope": str(t.scope),
                        "annotations": dict(t.annotations),
                        "input_schema": t.input_schema,
                        "output_schema": t.output_schema,
                    }
                    for t in tools
                ],
                indent=2,
                ensure_ascii=False,
            )
        )
        return
    widest = max(len(tool.name) for tool in tools)
    for tool in tools:
        print(
            f"{tool.name:<{widest}}  {'reads  ' if tool.reads else 'changes'}  "
            f"{tool.scope:<13}  {tool.title}"
        )
