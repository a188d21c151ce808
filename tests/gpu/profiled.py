"""What profile.sh records: a kernel renders RGB on the GPU, and a writer encodes it with a simulated encoder."""

from __future__ import annotations

import sys

import cupy

from pdum.nvenc import VideoWriter

WIDTH, HEIGHT, FRAMES = 1280, 720, 150
RENDER = r"""
extern "C" __global__ void render(unsigned char* rgb, int width, int height, float time) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= width * height) return;
    float x = 3.0f * (i % width) / width - 1.5f, y = 2.0f * (i / width) / height - 1.0f;
    for (int step = 0; step < 4000; ++step) {
        const float next = fminf(fmaxf(x * x - y * y + 0.36f + 0.03f * __sinf(time), -2.0f), 2.0f);
        y = fminf(fmaxf(2.0f * x * y + 0.1f, -2.0f), 2.0f);
        x = next;
    }
    rgb[3 * i] = (unsigned char)(128 + 60 * x);
    rgb[3 * i + 1] = (unsigned char)(128 + 60 * y);
    rgb[3 * i + 2] = (unsigned char)(128 + 30 * (x + y));
}
"""


def main(path: str) -> None:
    kernel, pixels = cupy.RawKernel(RENDER, "render"), WIDTH * HEIGHT
    frame = cupy.zeros((HEIGHT, WIDTH, 3), cupy.uint8)
    with VideoWriter(path, fps=30, codec="h264", backend="nvenc") as video:
        for number in range(FRAMES):
            kernel((-(-pixels // 256),), (256,), (frame, *map(cupy.int32, (WIDTH, HEIGHT)), cupy.float32(number / 30)))
            video.write(frame)


if __name__ == "__main__":
    main(sys.argv[1])
