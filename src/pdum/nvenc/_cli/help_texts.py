"""The texts below the options in the help of the tool and of its commands."""

from __future__ import annotations

from .exits import MEANINGS

ENCODE_EXAMPLES = """\
examples:
  pdum-nvenc encode Videos                     each video in Videos, results in Videos/compressed
  pdum-nvenc encode in.mkv out.mp4             one file, with the name of its result
  pdum-nvenc encode -r Videos -o /mnt/small    a whole tree, mirrored elsewhere
  pdum-nvenc encode -P archival -q 22 a.mkv    a profile (-P), with one value changed
  pdum-nvenc encode --target xpsnr=42 Videos   finds the quality value of each file
  pdum-nvenc encode --in-place -r Videos       smaller results replace their sources
  pdum-nvenc encode --dry-run -r Videos        shows what would be done, and changes nothing

If it is interrupted, the same command continues where it stopped.
Ctrl-C once lets running files finish; twice stops now.
"""
MORE_EXAMPLES = """\
more examples:
  pdum-nvenc encode --max-size 500M Videos     no result is larger than 500 MB
  pdum-nvenc encode --dry-run --estimate Videos
                                               sizes and time, from samples
  pdum-nvenc encode -r s3://bucket/in -o s3://bucket/out
                                               files at storages (extra: storage)
  pdum-nvenc encode --json Videos | jq -c 'select(.event == "job_failed")'
  find . -name '*.avi' -size +1G -print0 | xargs -0 pdum-nvenc encode --
"""
CLUSTER_EXAMPLES = """\
examples:
  pdum-nvenc cluster --local                            a whole cluster on this machine, to try it out
  pdum-nvenc cluster --listen 10.0.0.1 --tls farm.pem   other machines join with: worker 10.0.0.1 --tls farm.pem

Whoever can connect can run programs on all machines of the cluster. Without --listen, only this machine can.
"""
WORKER_EXAMPLES = """\
examples:
  pdum-nvenc worker head --tls farm.pem            all hardware encoders of this machine
  pdum-nvenc worker head --engine software -j 2    two workers that share the processor
  pdum-nvenc encode --cluster head --tls farm.pem /mnt/Videos

All machines see the videos by the same paths.
"""
MAIN_EXAMPLES = """\
examples:
  pdum-nvenc doctor                   what works on this machine, and what to do about the rest
  pdum-nvenc demo                     short test clips, encoded with whatever the machine has
  pdum-nvenc encode -r --tui Videos   a folder and all below it, with a dashboard
  pdum-nvenc COMMAND --help           about a command; --help-all shows every option
"""


def exit_codes() -> str:
    return "exit codes:\n" + "\n".join(f"  {code:<4} {meaning}" for code, meaning in MEANINGS.items()) + "\n"


def files() -> str:
    return (
        "files:\n"
        "  ~/.config/pdum-nvenc/config.toml   settings and profiles ($XDG_CONFIG_HOME is respected)\n"
        "  compressed/.pdum-nvenc.jsonl       the journal beside the results, from which a run continues\n"
    )
