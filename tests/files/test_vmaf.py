"""VMAF as a target, with a PyAV that has it, in an environment of its own: the usual one may have an older PyAV."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from clips import make_clip
from loud import missing

pytestmark = [pytest.mark.slow, pytest.mark.one_abi]
SEARCH = """
import json, sys
from pdum.nvenc import EncoderPool, FileJob, FileSettings, events
from pdum.nvenc._files.scores import compare
import av

source, result = sys.argv[1:]
told = []
settings = FileSettings(codec="h264", target="vmaf=90", encoder={"preset": "p1"})
with EncoderPool(backend="software", engines=2) as pool:
    pool.encode_files([FileJob(source=source, destination=result, settings=settings)], told.append).raise_for_errors()
with av.open(source) as one, av.open(result) as other:
    score = compare("vmaf", one.decode(video=0), other.decode(video=0))
with av.open(source) as one, av.open(source) as other:
    same = compare("vmaf", one.decode(video=0), other.decode(video=0))
tried = [event for event in told if isinstance(event, events.QualityTried)]
print(json.dumps({"score": score, "same": same, "chosen": tried[-1].score, "metric": tried[-1].metric}))
"""


def newer_python() -> str:
    """One for which there is a PyAV 19: on the path, or one of pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for minor in (12, 13, 14):
        name = f"python3.{minor}"
        found = [shutil.which(name), *sorted(map(str, pyenv.glob(f"3.{minor}.*/bin/{name}")))]
        for python in filter(None, found):
            if subprocess.run([python, "-c", "import venv"], capture_output=True).returncode == 0:
                return python
    return missing("Python 3.12 or newer for PyAV 19")


@pytest.mark.timeout(900)
def test_a_vmaf_target_is_reached(root: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    subprocess.run([newer_python(), "-m", "venv", str(environment)], check=True)
    python = environment / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "-q", "av>=19", str(root)]
    made = subprocess.run(install, capture_output=True, text=True, timeout=600)
    assert made.returncode == 0, made.stdout + made.stderr
    clip = make_clip(tmp_path / "a.mkv", 50)
    command = [str(python), "-c", SEARCH, str(clip), str(tmp_path / "r.mkv")]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    told = json.loads(answer.stdout.splitlines()[-1])
    assert told["metric"] == "vmaf"
    assert told["chosen"] >= 90
    assert told["score"] >= 90 - 2
    assert told["same"] > 97
