// A frame as the session sees it: where its bytes are and when they may be read. It owns nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "colour/colour_plan.hpp"
#include "cuda/cuda_types.hpp"

namespace pdum::nvenc {

enum class FrameMemory { host, device };

// How the encoder waits for the frame's producer, and the next writer for the encoder.
enum class ProducerOrder {
    on_stream,  // the producer works on `stream`: events order it and the encoder, and the host does not wait
    settled,    // the bytes are there, or the producer has ordered the encoder's stream behind them; the next writer is
                // unknown, so the call returns only after the frame has been read
};

struct FrameView {
    FrameMemory memory = FrameMemory::host;
    ProducerOrder order = ProducerOrder::settled;
    CUstream stream = nullptr;
    const void* data = nullptr;
    size_t pitch = 0;               // bytes from one row to the next, over all planes
    size_t row_bytes = 0;           // bytes of a row that count
    size_t rows = 0;                // of all planes
    size_t chroma_offset = 0;       // from the first row of Y to the first of chroma
    std::optional<RgbImage> image;  // of an RGB frame, which has no such rows: the four above are unused
};

}  // namespace pdum::nvenc
