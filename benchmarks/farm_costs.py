"""What a file of a farm costs the calling program: ``look_cost`` and ``join_cost`` of ``farm_simulation.py``.

    python benchmarks/farm_costs.py [--frames 9000] [--rounds 5] [--json FILE]

A small video is examined, encoded in software, joined and verified. Only the processor time of the calling thread
counts, for each second of the video. What depends on the size of a picture is not the calling program's work.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from time import thread_time
from typing import Any

FPS = 30.0


def measured_costs(frames: int, fps: float = FPS) -> tuple[float, float]:
    """Seconds of processor time to examine a source and to join and verify a result, for each second of video."""
    from pdum.nvenc import FileJob, FileSettings, FileTask, SoftwareEncoder
    from pdum.nvenc.events import EngineInfo

    engine = EngineInfo(index=0, kind="software")
    with TemporaryDirectory() as folder:
        source = make_video(Path(folder) / "source.mkv", frames)
        settings = FileSettings(codec="h264", encoder={"preset": "p1"})
        task = FileTask(
            FileJob(source=source, destination=source.with_name("result.mp4"), settings=settings), "software"
        )
        begin = thread_time()
        task.prepare(1)
        looked = thread_time() - begin
        with SoftwareEncoder(task.config(engine)) as encoder:
            sink, pictures = task.sink(0), task.frames(0, engine)
            for number in range(frames):
                sink.write(encoder.submit(next(pictures), number, number == 0))
            sink.write(encoder.flush_pipeline())
            sink.complete(frames, encoder.sequence_header())
        begin = thread_time()
        task.finish()
        return looked / frames * fps, (thread_time() - begin) / frames * fps


def make_video(path: Path, frames: int) -> Path:
    import av
    import numpy as np

    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=30, options={"preset": "ultrafast", "bf": "0"})
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        picture = av.VideoFrame.from_ndarray(np.full((96, 64), 80, np.uint8), "yuv420p")
        for number in range(frames):
            picture.pts = number
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def main() -> None:
    from measuring import Figure, machine, quartiles, save  # type: ignore[import-not-found]  # beside this script

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=9000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there")
    given = parser.parse_args()
    looking, joining = zip(*(measured_costs(given.frames) for _ in range(given.rounds)), strict=True)
    print(machine("av"))
    rows = {"to examine the source": looking, "to join and verify the result": joining}
    figures = [Figure(row, "a second of video", "µs", [1e6 * one for one in samples]) for row, samples in rows.items()]
    for figure in figures:
        low, middle, high = quartiles(figure.samples)
        print(f"{figure.row}: {middle:.0f} µs for a second of video ({low:.0f} to {high:.0f})")
    save(given.json, "farm_costs", figures, "av")


if __name__ == "__main__":
    main()
