"""What a file of a farm costs the calling program, for ``farm_simulation.py --measure``."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from time import thread_time
from typing import Any


def measured_costs(frames: int, fps: float = 30.0) -> tuple[float, float]:
    """``look_cost`` and ``join_cost`` of this machine, with a small video without hardware."""
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
