"""The generated pages of the documentation site, and links to them. MkDocs calls the functions named ``on_…``."""

from __future__ import annotations

import ast
import posixpath
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs" / "site"))

from errors_page import errors_page, is_error  # noqa: E402
from settings_table import settings_page  # noqa: E402

import pdum.nvenc  # noqa: E402
from pdum.nvenc._cli import exits  # noqa: E402
from pdum.nvenc._cli.argument_errors import commands_of  # noqa: E402
from pdum.nvenc._cli.parser import make_parser  # noqa: E402

ELSEWHERE = {
    "README.md": "start.md",
    "CONTRIBUTING.md": "contributing.md",
    "PROVENANCE.md": "provenance.md",
    "CHANGELOG.md": "changes.md",
    "benchmarks/README.md": "figures.md",
}
"""Pages of the site that are files outside of docs/, by their place in the repository."""
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
LINK = re.compile(r"(?<=\]\()(?P<path>[^)#:\s]+)(?P<anchor>#[^)]*)?(?=\))")

FENCE = re.compile(r'^(?P<fence>\s*```\w+)(?P<title> title="[^"]*")?(?P<words> .+)$', re.MULTILINE)
"""The beginning of a block of code with words for the tests, such as ``python gpu``. The site's Markdown knows none."""
DEAD_LINK = re.compile(r"\[([^\]]*)\]\(\)")


def on_files(files: Any, config: Any) -> Any:
    for source, page in ELSEWHERE.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text()))
    for example in EXAMPLES:
        files.append(File.generated(config, f"examples/{example.stem}.md", content=_example(example)))
    files.append(File.generated(config, "examples.md", content=_examples()))
    files.append(File.generated(config, "reference/python.md", content=_python()))
    files.append(File.generated(config, "reference/settings.md", content=settings_page()))
    files.append(File.generated(config, "reference/errors.md", content=errors_page()))
    files.append(File.generated(config, "reference/commands.md", content=_commands()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links that work in the repository lead to pages of the site. A file that has no page keeps its name alone."""
    here = _place_in_the_repository(page.file.src_uri)
    if here is None:
        return markdown

    def replaced(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(here), found["path"]))
        return _on_the_site(target, page.file.src_uri) + (found["anchor"] or "")

    return FENCE.sub(r"\g<fence>\g<title>", DEAD_LINK.sub(r"\1", LINK.sub(replaced, markdown)))


def _place_in_the_repository(page: str) -> str | None:
    """None for a generated page, whose links are right."""
    if page.startswith("reference/") or page in ("examples.md", *(f"examples/{one.stem}.md" for one in EXAMPLES)):
        return None
    return next((source for source, name in ELSEWHERE.items() if name == page), f"docs/{page}")


def _on_the_site(target: str, page: str) -> str:
    """The path of a file of the repository as a link from a page of the site; "" if the site does not have it."""
    if target in ELSEWHERE:
        name = ELSEWHERE[target]
    elif target.startswith("examples/") and target.endswith(".py"):
        name = target.removesuffix(".py") + ".md"
    elif target.startswith("docs/"):
        name = target.removeprefix("docs/") or "index.md"
    elif target == "docs":
        name = "index.md"
    else:
        return ""
    return posixpath.relpath(name, posixpath.dirname(page) or ".")


def _example(path: Path) -> str:
    return f"# {path.name}\n\n```python\n{path.read_text()}```\n"


def _examples() -> str:
    rows = [f"- [{one.name}](examples/{one.stem}.md): {_first_sentence(one)}" for one in EXAMPLES]
    return "# Examples\n\nComplete programs, each run by the tests.\n\n" + "\n".join(rows) + "\n"


def _first_sentence(example: Path) -> str:
    text = ast.get_docstring(ast.parse(example.read_text())) or ""
    return " ".join(text.split("\n\n")[0].split())


def _python() -> str:
    """Each public name, classes first. Errors have a page of their own."""
    names = [name for name in pdum.nvenc.__all__ if not is_error(name)]
    first = ["VideoWriter", "encode_frames", "NvencEncoder", "EncoderConfig", "EncoderPool", "LiveEncoder"]
    ordered = [*first, *(name for name in sorted(names, key=str.lower) if name not in first)]
    parts = "\n\n".join(f"::: pdum.nvenc.{name}" for name in ordered if not name.startswith("abi"))
    return f"# Python\n\nEverything that `pdum.nvenc` exports. Errors are on [their own page](errors.md).\n\n{parts}\n"


def _in_a_cell(text: str) -> str:
    return " ".join(text.replace("``", "`").split()).replace("|", "\\|")


def _commands() -> str:
    return "\n".join(["# Commands", "", *_command_parts()])


def _command_parts() -> Iterator[str]:
    parser = make_parser()
    yield f"```text\n{parser.format_help().strip()}\n```\n"
    for name, command in commands_of(parser).items():
        text = command.format_help_all() if hasattr(command, "format_help_all") else command.format_help()
        yield f"## {name}\n\n```text\n{text.strip()}\n```\n"
    yield "## Exit codes\n\n| code | meaning |\n|---|---|"
    for code, meaning in exits.MEANINGS.items():
        yield f"| {code} | {_in_a_cell(meaning)} |"
