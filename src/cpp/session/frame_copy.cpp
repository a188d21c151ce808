#include "session/frame_copy.hpp"

namespace pdum::nvenc {
namespace {

// Offsets in bytes from the start of the frame and of the surface.
struct RowBlock {
    size_t source_offset;
    size_t source_pitch;
    size_t destination_offset;
    size_t destination_pitch;
    size_t row_bytes;
    size_t rows;
};

void copy_rows(const FrameView& frame, const RowBlock& block, const DeviceRows& destination, const Context& context,
               CUstream stream) {
    CUDA_MEMCPY2D copy{};
    copy.srcPitch = block.source_pitch;
    copy.dstMemoryType = memory_device;
    copy.dstDevice = destination.pointer() + block.destination_offset;
    copy.dstPitch = block.destination_pitch;
    copy.WidthInBytes = block.row_bytes;
    copy.Height = block.rows;
    const auto* source = static_cast<const char*>(frame.data) + block.source_offset;
    if (frame.memory == FrameMemory::host) {
        copy.srcMemoryType = memory_host;
        copy.srcHost = source;
    } else {
        copy.srcMemoryType = memory_device;
        copy.srcDevice = reinterpret_cast<CUdeviceptr>(source);
    }
    check_cuda(context.functions().cuMemcpy2DAsync(&copy, stream), "cuMemcpy2DAsync");
}

}  // namespace

// A surface is one block of rows, unless chroma has a different pitch or the frame's chroma does not follow its luma.
void copy_frame(const FrameView& frame, PixelFormat format, uint32_t height, const DeviceRows& destination,
                const Context& context, CUstream stream) {
    const size_t pitch = destination.pitch();
    const size_t divisor = chroma_pitch_divisor(traits_of(format));
    if (divisor == 1 && frame.chroma_offset == frame.pitch * height) {
        copy_rows(frame, {0, frame.pitch, 0, pitch, frame.row_bytes, frame.rows}, destination, context, stream);
        return;
    }
    const size_t chroma_rows = (frame.rows - height) * divisor;
    copy_rows(frame, {0, frame.pitch, 0, pitch, frame.row_bytes, height}, destination, context, stream);
    copy_rows(frame,
              {frame.chroma_offset, frame.pitch / divisor, pitch * height, pitch / divisor, frame.row_bytes / divisor,
               chroma_rows},
              destination, context, stream);
}

}  // namespace pdum::nvenc
