"""Errors about arguments, in one line that names the nearest right one. argparse would print all options instead."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NoReturn

ALIASES: dict[str, tuple[str, ...]] = {
    "--cq": ("--crf",),
    "--engines": ("--jobs", "--workers"),
    "--max-size": ("--target-size", "--file-size", "--filesize"),
    "--max-bitrate": ("--maxrate", "--max-rate"),
    "--dry-run": ("-n",),
}
"""Options by the names that they have in other tools. They work, and the help does not list them."""
TARGETS = {"--vmaf": "vmaf", "--min-vmaf": "vmaf", "--xpsnr": "xpsnr", "--min-xpsnr": "xpsnr", "--ssim": "ssim"}
"""Options of other tools that stand for ``--target METRIC=N``. They work, too."""

SIZE = "use --scale, for example --scale 720p or --scale 1280x720."
NO_RATE = (
    "files are encoded at constant quality: use -q. --max-bitrate 8M limits the bitrate, --max-size 500M the size."
)
OUTPUT = "the output is complete already; --quiet shows less, and --json shows every event."
ELSEWHERE = {
    **dict.fromkeys(("--bitrate", "--vbitrate", "--vb", "-b"), NO_RATE),
    **dict.fromkeys(("--height", "--width", "--resolution"), SIZE),
    "--size": "use --scale 720p for the picture, or --max-size 500M for the file.",
    **dict.fromkeys(("--rate", "--framerate"), "use --fps."),
    **dict.fromkeys(("-v", "--verbose"), OUTPUT),
    **dict.fromkeys(("-i", "--input"), "name files and folders without an option: pdum-nvenc encode PATH."),
    **dict.fromkeys(("--vcodec", "--encoder", "-e", "--video-codec"), "use --codec."),
    **dict.fromkeys(("--acodec", "--ab", "--audio-bitrate"), "use --audio."),
    **dict.fromkeys(("-f", "--format", "--ext", "--extension", "--suffix"), "use --container."),
    **dict.fromkeys(("--force", "--clobber"), "use --overwrite."),
    **dict.fromkeys(("--replace", "--delete", "--delete-source"), "use --in-place."),
    **dict.fromkeys(("--test", "--just-print", "--preview"), "use --dry-run."),
    **dict.fromkeys(("--dashboard", "--ui", "--gui"), "use --tui, or --web for a browser."),
    **dict.fromkeys(("--port", "--host", "--web-port", "--web-host"), "use --web-address, for example :8081."),
    **dict.fromkeys(("--out-dir", "--output-dir", "-d"), "use --output."),
    **dict.fromkeys(("--threads", "--parallel"), "use --engines."),
    **dict.fromkeys(("--psnr", "--min-psnr"), "use --target xpsnr=N, which agrees better with what people see."),
    **dict.fromkeys(("--logfile", "--log-file", "--log-to"), "use --log."),
    "-R": "use --recursive.",
    "--tune": "use --set tuning=NAME.",
}
"""What to do instead of options that other tools have and this one does not."""


def with_aliases(flags: Sequence[str]) -> tuple[str, ...]:
    """The names of an option, followed by those that it has in other tools."""
    return (*flags, *(alias for flag in flags for alias in ALIASES.get(flag, ())))


HIDDEN = frozenset((*TARGETS, *(alias for aliases in ALIASES.values() for alias in aliases if alias != "-n")))


class OneLineParser(argparse.ArgumentParser):
    """Reports wrong arguments in one line, and takes paths that come after options."""

    _given: Sequence[str] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.bare: dict[str, tuple[str, Collection[str]]] = {}
        """Options that may stand without a value: the value that they have then, and others."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        self._given = [] if args is None else list(args)
        return super().parse_known_args(args if args is None else self._with_values(self._given), namespace)

    def _with_values(self, given: Sequence[str]) -> list[str]:
        """Gives bare options their value. What follows one is its value, unless it is an option or a file."""
        made: list[str] = []
        end = given.index("--") if "--" in given else len(given)
        for place, word in enumerate(given[:end]):
            made.append(word)
            if word in self.bare:
                value, known = self.bare[word]
                following = given[place + 1] if place + 1 < end else "-"
                if following not in known and (following.startswith("-") or os.path.exists(following)):
                    made[-1] = f"{word}={value}"
        return [*made, *given[end:]]

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        arguments, extras = self.parse_known_args(args, namespace)
        options, words = _taken_apart(extras)
        command = self.command_of(arguments)
        if options:
            command.error(unknown_option(options[0], command))
        if words and not isinstance(getattr(arguments, "paths", None), list):
            command.error(f"Unexpected argument {words[0]!r}. See {command.prog} --help.")
        if words:
            arguments.paths += words
        return arguments

    def command_of(self, arguments: Any) -> OneLineParser:
        """The parser of the command that these arguments are for."""
        found: OneLineParser = self
        for name in ("command", "action"):
            found = commands_of(found).get(getattr(arguments, name, ""), found)
        return found

    def error(self, message: str) -> NoReturn:
        """Ends the process with the code for wrong usage."""
        if message.startswith("the following arguments are required"):
            unknown = [one for one in _taken_apart(self._given)[0] if not self._knows(one)]
            message = unknown_option(unknown[0], self) if unknown else message
        self.exit(2, f"pdum-nvenc: {self._said(message)}\n")

    def _knows(self, option: str) -> bool:
        name = option.partition("=")[0]
        return not name.startswith("--") or any(one.startswith(name) for one in self._option_string_actions)

    def _said(self, message: str) -> str:
        """argparse's own sentences in the style of the tool's."""
        for pattern, write in _SENTENCES:
            found = re.fullmatch(pattern, message, re.DOTALL)
            if found:
                return str(write(self, found))
        return message


CLOSE = 0.7
"""How like a known name a wrong one is that was meant for it, from 0 to 1. At 0.6, 'bogus' would be 'gpus'."""


def commands_of(parser: argparse.ArgumentParser) -> dict[str, Any]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def _taken_apart(extras: Iterable[str]) -> tuple[list[str], list[str]]:
    """Options, and words that are none. After "--" all are words."""
    options: list[str] = []
    words: list[str] = []
    is_over = False
    for one in extras:
        if one == "--" and not is_over:
            is_over = True
        elif one.startswith("-") and one != "-" and not is_over:
            options.append(one)
        else:
            words.append(one)
    return options, words


def unknown_option(given: str, parser: argparse.ArgumentParser) -> str:
    from difflib import get_close_matches

    name = given.partition("=")[0]
    if name in ELSEWHERE and "--codec" in parser._option_string_actions:
        return f"Unknown option {name}: {ELSEWHERE[name]}"
    known = [one for one in parser._option_string_actions if one.startswith("--")]
    near = get_close_matches(name, known, n=1, cutoff=CLOSE) if name.startswith("--") else []
    return f"Unknown option {name}." + (f" Did you mean {near[0]}?" if near else f" See {parser.prog} --help.")


def _wrong_value(_parser: OneLineParser, found: re.Match[str]) -> str:
    option, text = found.groups()
    name = _longest(option)
    text = re.sub(rf"got {name.lstrip('-').replace('-', '_')}=", "got ", text)
    return f"{name}: {text[0].upper()}{text[1:]}".rstrip(".") + "."


def _unknown_command(parser: OneLineParser, found: re.Match[str]) -> str:
    from difflib import get_close_matches

    name = found[1]
    known = list(commands_of(parser))
    near = [one for one in known if name and one.startswith(name)] or get_close_matches(name, known, 1, CLOSE)
    if os.path.exists(name):
        return f"Unknown command {name!r}. To encode it: {parser.prog} encode {name}"
    return f"Unknown command {name!r}." + (f" Did you mean {near[0]!r}?" if near else f" See {parser.prog} --help.")


def _missing(parser: OneLineParser, found: re.Match[str]) -> str:
    name = found[1]
    commands = list(commands_of(parser))
    wanted = f"{commands[0]}, for example" if commands else name
    return f"Missing {name}: {parser.prog} {wanted}. See {parser.prog} --help."


def _unknown_choice(_parser: OneLineParser, found: re.Match[str]) -> str:
    name, value, choices = found.groups()
    return f"{_longest(name)}: Expected one of {choices.replace(chr(39), '')}, got {value!r}."


def _longest(option: str) -> str:
    """The name that is the easiest to recognise, of all names of an option."""
    return next((one for one in option.split("/") if one.startswith("--")), option)


_SENTENCES: tuple[tuple[str, Any], ...] = (
    (r"argument (?:COMMAND|ACTION|command|action): invalid choice: '(.*?)' \(.*", _unknown_command),
    (r"argument (\S+): invalid choice: '(.*?)' \(choose from (.*)\)", _unknown_choice),
    (
        r"argument (\S+): expected (?:one|at least one) arguments?",
        lambda _, found: f"{_longest(found[1])} needs a value.",
    ),
    (
        r"argument (\S+): ignored explicit argument '(.*)'",
        lambda _, found: f"{_longest(found[1])} takes no value, got {found[2]!r}.",
    ),
    (
        r"argument (\S+): invalid (\w+) value: '(.*)'",
        lambda _, found: f"{_longest(found[1])}: Expected a number, got {found[3]!r}.",
    ),
    (r"argument (\S+): (.*)", _wrong_value),
    (
        r"the following arguments are required: (.*)",
        _missing,
    ),
    (
        r"ambiguous option: (\S+) could match (.*)",
        lambda _, found: f"{found[1]} could be any of {found[2]}. Write more of it.",
    ),
)
