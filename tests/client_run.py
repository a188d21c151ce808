"""Runs other people's programs on the simulated driver, and reads what they did."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulator import environment
from simulator.trace import Call, read_calls, read_violations
from streams import Decoded, Format, Pixels, decode, moving_pictures, nv12, worst_psnr

PROGRAMS = Path(__file__).parent / "clients" / "programs"
ENOUGH_DB = 35.0


@dataclass
class Outcome:
    """The results of a client's process."""

    stdout: str
    calls: list[Call]
    violations: list[dict[str, Any]]

    def named(self, name: str) -> list[Call]:
        return [call for call in self.calls if call.name == name]

    @property
    def apis(self) -> set[str]:
        """The versions of NVENC's interface that the client's sessions used."""
        return {call.api for call in self.named("nvEncInitializeEncoder")}

    def json(self) -> Any:
        return json.loads(self.stdout)


@dataclass
class Bench:
    """A folder with raw pictures, and methods that let a client encode them."""

    folder: Path
    form: Format = field(default_factory=Format)
    count: int = 30
    made: list[list[Pixels]] = field(default_factory=list)

    @property
    def pictures(self) -> list[list[Pixels]]:
        if not self.made:
            self.made = moving_pictures(self.form, self.count)
        return self.made

    def raw_nv12(self) -> Path:
        path = self.folder / "pictures.nv12"
        path.write_bytes(b"".join(nv12(picture).tobytes() for picture in self.pictures))
        return path

    def raw_planar(self) -> Path:
        path = self.folder / "pictures.yuv"
        path.write_bytes(b"".join(plane.tobytes() for picture in self.pictures for plane in picture))
        return path

    def run(
        self,
        command: Sequence[object],
        env: Mapping[str, str] | None = None,
        expected: int = 0,
        known: Sequence[str] = (),
        **config: Any,
    ) -> Outcome:
        """Runs the command, which has to end with the `expected` status.

        Every violation of a rule fails the test, but those that are `known`, which have to be there.
        """
        trace = self.folder / "trace.jsonl"
        trace.unlink(missing_ok=True)
        settings = {"backend": "codec", "strict": True, "trace": str(trace)} | config
        done = subprocess.run(
            [str(word) for word in command], env=environment(**settings) | dict(env or {}),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == expected, f"status {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        assert trace.exists(), f"the client never came to the simulated driver\n{done.stdout}\n{done.stderr[-4000:]}"
        outcome = Outcome(done.stdout, read_calls(trace), read_violations(trace))
        broken = {violation["violation"] for violation in outcome.violations}
        assert broken == set(known), f"{len(outcome.violations)} violations, the first: {outcome.violations[:3]}"
        return outcome

    def python(self, program: str, job: dict[str, Any] | list[dict[str, Any]], **config: Any) -> Outcome:
        """One of the programs in tests/clients/programs, which read what to do from JSON."""
        return self.run([sys.executable, "-X", "faulthandler", PROGRAMS / program, json.dumps(job)], **config)

    def judge(self, path: Path, codec: str, exact: bool = False) -> list[Decoded]:
        """The stream has every picture, and each looks like its source."""
        decoded = decode(path.read_bytes(), codec)
        assert len(decoded) == self.count
        worst = worst_psnr(self.pictures, decoded, self.form.depth)
        print(f"{codec}: {len(decoded)} pictures, the worst has {worst:.1f} dB")
        assert worst >= (float("inf") if exact else ENOUGH_DB), f"the worst picture has {worst:.1f} dB"
        return decoded


def sessions_are_closed(outcome: Outcome) -> None:
    opened = [call for call in outcome.named("nvEncOpenEncodeSessionEx") if call.status == 0]
    closed = [call for call in outcome.named("nvEncDestroyEncoder") if call.status == 0]
    assert len(opened) == len(closed) >= 1


def decoders_are_closed(outcome: Outcome) -> None:
    """Each decoder and parser was destroyed, and each mapped frame unmapped."""

    def successes(name: str) -> int:
        return sum(call.status == 0 for call in outcome.named(name))

    assert successes("cuvidCreateDecoder") == successes("cuvidDestroyDecoder") >= 1
    assert successes("cuvidCreateVideoParser") == successes("cuvidDestroyVideoParser")
    assert successes("cuvidMapVideoFrame64") == successes("cuvidUnmapVideoFrame64") >= 1
