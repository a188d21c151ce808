"""Help in two lengths: ``--help`` has what most people need, ``--help-all`` every option and the exit codes."""

from __future__ import annotations

import argparse
import copy
from collections.abc import Collection, Iterable
from typing import Any

from .argument_errors import HIDDEN, OneLineParser

HELP_ALL = "--help-all"


class HelpfulParser(OneLineParser):
    """A parser whose help is short unless all of it is asked for."""

    def __init__(self, *args: Any, more: str = "", **kwargs: Any) -> None:
        """``more``: what follows the epilog in the long help."""
        super().__init__(*args, **kwargs)
        self._more = more
        self._advanced: set[str] = set()
        self._positionals.title = "arguments"
        self.add_argument(
            HELP_ALL, action=_PrintAllHelp, dest=argparse.SUPPRESS, help="show all options and the exit codes"
        )

    def hide_in_short_help(self, names: Collection[str]) -> None:
        """These options, by the names of their values, are shown by ``--help-all`` alone."""
        self._advanced |= set(names)

    def format_help(self) -> str:
        return self._formatted(shows_all=False)

    def format_help_all(self) -> str:
        return self._formatted(shows_all=True)

    def _formatted(self, shows_all: bool) -> str:
        formatter = self._get_formatter()
        formatter.add_usage(self._usage(), self._actions, self._mutually_exclusive_groups)
        formatter.add_text(self.description)
        for group in sorted(self._action_groups, key=lambda one: one is self._optionals):
            formatter.start_section(group.title and group.title.capitalize())
            formatter.add_text(group.description)
            formatter.add_arguments(self._shown(group._group_actions, shows_all))
            formatter.end_section()
        formatter.add_text(self.epilog)
        if shows_all:
            formatter.add_text(self._more)
        return formatter.format_help()

    def _usage(self) -> str:
        words = [_word(one) for one in self._actions if not one.option_strings]
        return " ".join([self.prog, *words, "[OPTIONS]"]).replace("%", "%%")

    @staticmethod
    def _with_commands_apart(actions: Iterable[argparse.Action]) -> Iterable[argparse.Action]:
        """The actions, with each command in place of their common name, which the usage shows already."""
        for action in actions:
            yield from action._get_subactions() if isinstance(action, argparse._SubParsersAction) else (action,)

    def _shown(self, actions: Iterable[argparse.Action], shows_all: bool) -> list[argparse.Action]:
        """The actions as the help names them. The short one leaves out ``--no-X``; no help lists other tools' names."""
        found = []
        for action in self._with_commands_apart(actions):
            if not shows_all and action.dest in self._advanced:
                continue
            shown = copy.copy(action)
            names = [one for one in action.option_strings if one not in HIDDEN]
            shown.option_strings = names if shows_all else [one for one in names if not one.startswith("--no-")][:2]
            found.append(shown)
        return found


class _PrintAllHelp(argparse.Action):
    def __init__(self, option_strings: list[str], dest: str = argparse.SUPPRESS, help: str | None = None) -> None:  # noqa: A002
        super().__init__(option_strings, dest, default=argparse.SUPPRESS, nargs=0, help=help)

    def __call__(self, parser: Any, *_: Any) -> None:
        print(parser.format_help_all(), end="")
        parser.exit()


def _word(action: argparse.Action) -> str:
    name = str(action.metavar or action.dest.upper())
    if action.nargs == "+":
        return f"{name}..."
    return f"[{name}]" if action.nargs == "?" else name
