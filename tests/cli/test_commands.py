"""The commands other than ``encode``: their output for people and programs, and their exit codes."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pdum.nvenc import __version__
from pdum.nvenc._batch.layers import PROFILES
from pdum.nvenc._cli import COMMANDS
from pdum.nvenc._cli.argument_errors import ALIASES, TARGETS
from pdum.nvenc._cli.demo import next_command
from pdum.nvenc._cli.exits import MEANINGS
from pdum.nvenc._cli.help import HelpfulParser
from pdum.nvenc._cli.parser import make_parser

from clips import Tool, command, events_of, files_in, make_clip, parsed, start, without_driver
from loud import need_module, need_program
from simulator import Machine, Simulator, environment


def process(*arguments: object, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), env={**without_driver(), **env}, capture_output=True, text=True, check=False
    )


# ---- without any hardware, in separate processes -------------------------------------------------------------------


def test_without_arguments_the_package_is_its_doctor() -> None:
    for env in (without_driver(), environment(gpus=["L4"])):
        result = subprocess.run(command(), env=env, capture_output=True, text=True, check=False)
        assert result.stdout.startswith("pdum.nvenc doctor")
        assert result.returncode == 0, "encode works on both, once in software"
        doctor = subprocess.run(command("doctor"), env=env, capture_output=True, text=True, check=False)
        assert doctor.stdout.splitlines()[0] == result.stdout.splitlines()[0]


def test_the_doctor_for_programs(tool: Tool, simulator: Simulator, home: Path) -> None:
    path = home / "config" / "pdum-nvenc" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text("[defaults]\nquality = 99\n")
    with simulator.machine(gpus=["L4"]):
        code, out = tool("doctor", "--json")
    told = json.loads(out)
    assert (code, told["used"], told["hardware"], told["software"]) == (0, "nvenc", True, True)
    assert [one["name"] for one in told["devices"]] == ["NVIDIA L4"]
    findings = {one["topic"]: one for one in told["findings"]}
    assert findings["config"]["level"] == "problem"
    assert f"{path}:2" in findings["config"]["text"]
    assert {"cuda", "encoder", "pyav", "software", "gpu decoder"} <= set(findings)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_the_doctor_is_coloured_on_a_terminal_alone(
    tool: Tool, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, is_terminal: bool
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: is_terminal)
    with simulator.machine(gpus=["L4"]):
        _, out = tool("doctor")
    assert ("\x1b[32m[ ok ]" in out) == is_terminal


def test_a_machine_without_an_encoder_says_so(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mkv", 4)
    result = process("encode", "--engine", "nvenc", tmp_path, CUDA_VISIBLE_DEVICES="")
    assert result.returncode == 4
    assert "--engine software encodes on the processor" in result.stderr


def test_software_does_all_of_it(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mkv", 10, sound=True)
    result = process("encode", "--engine", "software", "--json", "-p", "p1", tmp_path)
    told = parsed(result.stdout)
    assert result.returncode == 0, result.stderr
    assert len(events_of("job_finished", told)) == 1
    assert {engine["kind"] for engine in events_of("run_started", told)[0]["engines"]} == {"software"}


@pytest.mark.parametrize(("module", "extra"), [("av", "files"), ("rich", "cli")])
def test_a_bare_installation_names_the_extra(tmp_path: Path, module: str, extra: str) -> None:
    make_clip(tmp_path / "a.mkv", 4)
    script = (
        "import sys\n"
        f"sys.modules[{module!r}] = sys.modules['rich_argparse'] = None\n"  # as if they were not installed
        "from pdum.nvenc._cli import main\n"
        f"sys.exit(main(['encode', '--engine', 'software', {str(tmp_path)!r}]))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert f"pdum-nvenc[{extra}]" in result.stderr + result.stdout
    assert result.returncode in (1, 4)


def test_events_need_nothing_that_draws(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mkv", 4)
    script = (
        "import sys\n"
        "for name in ('rich', 'rich_argparse', 'textual'): sys.modules[name] = None\n"
        "from pdum.nvenc._cli import main\n"
        f"sys.exit(main(['encode', '--json', '--engine', 'software', '-c', 'h264', {str(tmp_path)!r}]))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert len(events_of("job_finished", parsed(result.stdout))) == 1


def test_a_bare_installation_has_what_needs_nothing() -> None:
    script = (
        "import sys\n"
        "for name in ('av', 'rich', 'rich_argparse', 'textual', 'shtab', 'matplotlib'): sys.modules[name] = None\n"
        "from pdum.nvenc._cli import main\n"
        "codes = [main(['config', 'show']), main(['profiles']), main(['gpus']), main(['completion', 'fish'])]\n"
        "sys.exit(max(codes))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_the_command_line_loads_nothing_heavy() -> None:
    script = (
        "import sys; from pdum.nvenc._cli import main; main(['config', 'path']);"
        "print(sorted({'av', 'numpy', 'rich.console', 'textual', 'matplotlib', 'pynvml'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


def test_a_closed_pipe_is_not_an_error() -> None:
    """``pdum-nvenc completion bash | head -1``"""
    script = f"{sys.executable} -m pdum.nvenc completion fish | head -n 1; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert "Traceback" not in result.stderr
    assert result.returncode == 0


# ---- help ----------------------------------------------------------------------------------------------------------


def parsers() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    def below(name: str, parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
        yield name, parser
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for inner, child in action.choices.items():
                    yield from below(f"{name} {inner}", child)

    return below("pdum-nvenc", make_parser())


def test_each_option_has_a_help_and_each_command_a_description() -> None:
    for name, parser in parsers():
        assert parser.description, name
        for action in parser._actions:
            if action.option_strings:
                assert action.help, f"{name} {action.option_strings}"
        assert parser.format_help()


def test_help_names_all_commands_and_exit_codes() -> None:
    text = make_parser().format_help_all()
    for name in COMMANDS:
        assert name in text
        assert name in make_parser().format_help()
    for code in MEANINGS:
        assert re.search(rf"^  {code}\b", text, re.MULTILINE)


def test_the_short_help_is_short_and_the_long_one_has_all_options(tool: Tool) -> None:
    code, short = tool("encode", "--help")
    assert code == 0
    code, everything = tool("encode", "--help-all")
    assert code == 0
    assert len(short.splitlines()) < 70 < len(everything.splitlines())
    assert "--no-" not in short
    assert "--gop" not in short
    encode = next(parser for name, parser in parsers() if name == "pdum-nvenc encode")
    hidden = {*TARGETS, *(alias for many in ALIASES.values() for alias in many)} - {"-n"}
    for action in encode._actions:
        for option in action.option_strings:
            assert (re.search(rf"(^|[ ,]){option}\b", everything, re.MULTILINE) is not None) == (option not in hidden)
    for option in ("--quality", "--codec", "--output", "--recursive", "--dry-run", "--help-all"):
        assert option in short


def test_the_page_has_the_same_exit_codes_and_commands(root: Path) -> None:
    page = (root / "docs" / "cli.md").read_text()
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", page, re.MULTILINE)
    assert [int(code) for code, _ in rows] == list(MEANINGS)
    for code, words in rows:
        assert words.replace("`", "").split(";")[0] == MEANINGS[int(code)].split(";")[0]
    assert all(f"`{name}" in page for name in COMMANDS)


def test_titles_of_the_help_are_words_and_commands_stand_right_below_theirs() -> None:
    assert "Commands:\n  encode  " in process("--help").stdout
    assert "Picture and sound:\n" in process("encode", "--help").stdout


def test_examples_in_the_help_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line of the examples that calls the tool."""
    import shlex

    found = 0
    for _, parser in parsers():
        assert isinstance(parser, HelpfulParser)
        for line in parser.format_help_all().splitlines():
            text = re.split(r"  {2,}|\s[|>]", line.strip())[0]
            if text.startswith("pdum-nvenc ") and "COMMAND" not in text:
                make_parser().parse_args(shlex.split(text)[1:])
                found += 1
    assert found > 10


def test_version(tool: Tool) -> None:
    assert tool("--version") == (0, f"pdum-nvenc {__version__}\n")


# ---- settings ------------------------------------------------------------------------------------------------------


def test_config_init_show_and_path(tool: Tool, home: Path) -> None:
    path = home / "config" / "pdum-nvenc" / "config.toml"
    assert tool("config", "path") == (0, f"{path}\n")
    assert not path.exists()
    assert tool("config", "init") == (0, f"{path}\n")
    before = path.read_text()
    assert tool("config", "init")[0] == 2
    assert "--force" in tool.err
    path.write_text("[defaults]\nquality = 30\n[profiles.mine]\npreset = 'p6'\n")
    code, out = tool("config", "show", "-P", "mine", "-c", "hevc", "--set", "bit_depth=10")
    rows = {line.split()[0]: line for line in out.splitlines()}
    assert f"{path}:2" in rows["quality"]
    assert f"{path}:4" in rows["preset"]
    assert rows["codec"].endswith("command line")
    assert rows["lookahead"].endswith("built-in")
    assert rows["encoder.bit_depth"].split()[1] == "10"
    code, out = tool("profiles")
    assert code == 0
    assert all(name in out for name in (*PROFILES, "mine"))
    assert tool("config", "init", "--force")[0] == 0
    assert path.read_text() == before


def test_the_error_of_a_wrong_file_names_its_line(tool: Tool, home: Path) -> None:
    path = home / "config" / "pdum-nvenc" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text("[defaults]\nqualty = 30\n")
    assert tool("config", "show")[0] == 2
    assert f"{path}:2" in tool.err
    assert "'quality'" in tool.err


# ---- completion ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_all_commands_and_options(tool: Tool, shell: str) -> None:
    if shell != "fish":
        need_module("shtab")
    code, out = tool("completion", shell)
    assert code == 0
    for name in COMMANDS:
        assert name in out
    for _, parser in parsers():
        for action in parser._actions:
            for option in action.option_strings:
                if option.startswith("--") and action.help is not argparse.SUPPRESS:
                    assert (option if shell != "fish" else f"-l {option[2:]} ") in out


def test_bash_completes(tool: Tool, tmp_path: Path) -> None:
    need_module("shtab")
    (tmp_path / "script").write_text(tool("completion", "bash")[1])
    ask = (
        f"source {tmp_path}/script; COMP_WORDS=(pdum-nvenc encode --smal); COMP_CWORD=2; COMP_TYPE=9;"
        "$(complete -p pdum-nvenc | sed 's/.*-F \\([^ ]*\\).*/\\1/') 2>/dev/null; echo ${COMPREPLY[@]}"
    )
    result = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=False)
    assert result.stdout.split() == ["--smaller-than"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_can_read_their_script(tool: Tool, tmp_path: Path, shell: str) -> None:
    script = tmp_path / "script"
    script.write_text(tool("completion", shell)[1])
    if shutil.which(shell) is None:
        assert script.stat().st_size > 1000  # its syntax is checked if there is such a shell
        return
    subprocess.run([need_program(shell, shell), "-n", str(script)], check=True)


# ---- machines ------------------------------------------------------------------------------------------------------


def test_gpus(tool: Tool, simulator: Simulator) -> None:
    with simulator.machine(gpus=["RTX 4090", "A100"]):
        code, out = tool("gpus")
        told = json.loads(tool("gpus", "--json")[1])
    assert code == 0
    rows = out.splitlines()
    assert "h264, hevc, av1" in rows[1]
    assert rows[1].split("GeForce RTX 4090")[1].split()[0] == "2"
    assert "none" in rows[2]
    assert rows[3].startswith("GPU 1:")
    assert [one["encoder_engines"] for one in told] == [2, None]


def test_gpus_watched_until_ctrl_c() -> None:
    import signal

    with start("gpus", "--watch", "--json", config={"gpus": ["L4"]}) as process:
        assert process.stdout is not None
        looks = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.send_signal(signal.SIGINT)
        process.stdout.read()
    assert [look[0]["encoder_engines"] for look in looks] == [2, 2]
    assert process.returncode == 0


def test_bench_measures_each_codec_and_preset(tool: Tool, rtx4090: Machine, tmp_path: Path) -> None:
    need_module("matplotlib")
    png = tmp_path / "chart.png"
    given = ("-c", "h264,hevc", "-p", "p1,p5", "--size", "320x180", "--frames", "8", "--png", png)
    code, out = tool("bench", "--json", *given)
    told = json.loads(out)
    assert code == 0
    assert "2 encoders" in told["title"]
    assert [(one["codec"], one["preset"]) for one in told["measured"]] == [
        (codec, preset) for codec in ("h264", "hevc") for preset in ("p1", "p5")
    ]
    assert all(one["fps"] > 0 and not one["error"] for one in told["measured"])
    assert png.read_bytes().startswith(b"\x89PNG")
    code, out = tool("bench", *given[:4], "--size", "320x180", "--frames", "4")
    assert len(out.splitlines()) == 6


def test_bench_refuses_impossible_arguments(tool: Tool, simulator: Simulator) -> None:
    with simulator.machine(gpus=["T4"]):
        code, out = tool("bench", "--json", "-c", "av1", "-p", "p1", "--size", "320x180", "--frames", "4")
    assert code == 1
    assert "cannot encode av1" in json.loads(out)["measured"][0]["error"]


def test_bench_says_when_it_is_software(tool: Tool) -> None:
    code, out = tool("bench", "--engine", "software", "-c", "h264", "-p", "p1", "--size", "320x180", "--frames", "4")
    assert code == 0
    assert out.startswith("SOFTWARE")


def test_demo(tool: Tool, rtx4090: Machine, tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    code, out = tool("demo", "--folder", folder, "--clips", "2", "-c", "h264", "--json")
    told = parsed(out)
    assert code == 0
    assert len(events_of("job_finished", told)) == 2
    again = parsed(tool("demo", "--folder", folder, "--clips", "2", "-c", "h264", "--json")[1])
    assert len(events_of("job_finished", again)) == 2
    assert next(one["message"] for one in events_of("notice", told)) == f"Making 2 short clips in {folder}."
    assert not any("Making" in one["message"] for one in events_of("notice", again))
    (folder / "mine.mkv").write_bytes(b"precious")
    assert tool("demo", "--folder", folder, "--clips", "2")[0] == 2
    assert (folder / "mine.mkv").read_bytes() == b"precious"


@pytest.mark.parametrize(("program", "called"), [(None, "pdum-nvenc"), ("./run.sh", "./run.sh")])
@pytest.mark.parametrize(("folder", "arguments"), [("Videos", "~/Videos"), (None, "--help")])
def test_the_demonstration_ends_with_a_command_that_works_as_typed(
    home: Path, monkeypatch: pytest.MonkeyPatch, program: str | None, called: str, folder: str | None, arguments: str
) -> None:
    if program is not None:
        monkeypatch.setenv("PDUM_NVENC_PROGRAM", program)
    if folder is not None:
        (home / folder).mkdir()
    assert next_command() == f"{called} encode {arguments}"


def test_a_report_page(tool: Tool, rtx4090: Machine, tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mkv", 8)
    page = tmp_path / "report.html"
    assert tool("encode", "-c", "h264", "--report", page, tmp_path)[0] == 0
    text = page.read_text()
    assert "a.mkv" in text
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", text).replace("http-equiv", "")


# ---- watch ---------------------------------------------------------------------------------------------------------


def test_watch_once(tool: Tool, rtx4090: Machine, tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mkv", 6)
    (tmp_path / "bad.mkv").write_bytes(b"no video")
    given = ("watch", "--once", "--json", "--settle", "0.1", "--every", "0.1", "-c", "h264", tmp_path)
    code, out = tool(*given)
    assert code == 1
    assert f"Watching for videos in {tmp_path}; results go to compressed." in parsed(out)[0]["message"]
    assert len(events_of("job_finished", parsed(out))) == 1
    assert len(events_of("job_failed", parsed(out))) == 1, "what failed is not tried over and over"
    assert "compressed/a.mkv" in files_in(tmp_path)


def test_watch_takes_what_comes_and_survives_a_restart(tmp_path: Path) -> None:
    config = {"gpus": ["RTX 4090"], "backend": "codec"}
    given = ("watch", "--json", "--settle", "0.2", "--every", "0.1", "-c", "h264", tmp_path)
    make_clip(tmp_path / "a.mkv", 6, seed=1)

    def finished(process: subprocess.Popen[str], count: int) -> list[str]:
        assert process.stdout is not None
        names: list[str] = []
        sources: dict[int, str] = {}
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "job_queued":
                sources[event["job"]] = Path(event["source"]).name
            if event["event"] == "job_finished":
                names.append(sources[event["job"]])
                if len(names) == count:
                    break
        return names

    with start(*given, config=config) as process:
        assert finished(process, 1) == ["a.mkv"]
        make_clip(tmp_path / "b.mkv", 6, seed=2)
        assert finished(process, 1) == ["b.mkv"]
        process.kill()
        process.communicate()
    make_clip(tmp_path / "c.mkv", 6, seed=3)
    with start(*given, config=config) as process:
        assert finished(process, 1) == ["c.mkv"]
        time.sleep(0.5)  # mostly it waits for more by then, and has no run to be ended
        process.terminate()
        process.communicate(timeout=20)
    assert process.returncode == 143
    assert {name for name in os.listdir(tmp_path / "compressed") if not name.startswith(".")} == {
        "a.mkv",
        "b.mkv",
        "c.mkv",
    }
