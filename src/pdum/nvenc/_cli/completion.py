"""``pdum-nvenc completion``: scripts for shells, made from the parser."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from . import exits
from .parser import make_parser

PATHS = {"PATH", "FOLDER", "FILE", "FILE.html", "FILE.png", "NEW.mp4"}


def completion(arguments: argparse.Namespace) -> int:
    parser = make_parser()
    if arguments.shell == "fish":
        print("\n".join(fish(parser)))
        return exits.DONE
    import shtab

    for action in _all_actions(parser):
        if action.metavar in PATHS:
            action.complete = shtab.DIRECTORY if action.metavar == "FOLDER" else shtab.FILE  # type: ignore[attr-defined]
    print(shtab.complete(parser, shell=arguments.shell))
    return exits.DONE


def _subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def _all_actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    yield from parser._actions
    for below in _subparsers(parser).values():
        yield from _all_actions(below)


def fish(parser: argparse.ArgumentParser) -> Iterator[str]:
    """A line for each command and option."""
    start = "complete -c pdum-nvenc"
    yield f"{start} -f"
    yield from _fish_options(parser, f"{start} -n __fish_use_subcommand")
    for name, command in _subparsers(parser).items():
        yield f"{start} -n __fish_use_subcommand -a {name} -d {_quoted(command.description or '')}"
        when = f"{start} -n {_quoted(f'__fish_seen_subcommand_from {name}')}"
        yield from _fish_options(command, when)
        for inner, below in _subparsers(command).items():
            yield f"{when} -a {inner} -d {_quoted(below.description or '')}"
            yield from _fish_options(below, f"{start} -n {_quoted(f'__fish_seen_subcommand_from {inner}')}")


def _fish_options(parser: argparse.ArgumentParser, when: str) -> Iterator[str]:
    for action in parser._actions:
        if not action.option_strings:
            if action.metavar in PATHS:
                yield f"{when} -F"
            elif action.choices is not None and not isinstance(action, argparse._SubParsersAction):
                yield f"{when} -a {_quoted(' '.join(map(str, action.choices)))}"
            continue
        flags = " ".join(
            f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in action.option_strings
        )
        takes = "" if action.nargs == 0 else " -r -F" if action.metavar in PATHS else " -x"
        help_text = (action.help or "").replace("%%", "%")
        yield f"{when} {flags}{takes} -d {_quoted(help_text)}"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
