#include "session/frame_checks.hpp"

#include <string>

#include "core/error.hpp"

namespace pdum::nvenc {

void require_size(const FrameView& frame, const Settings& settings) {
    const FormatTraits& format = traits_of(settings.format);
    const bool right = frame.image ? frame.image->width == settings.width && frame.image->height == settings.height
                                   : frame.row_bytes == row_bytes_of(format, settings.width) &&
                                         frame.rows == surface_rows(format, settings.height);
    if (right) return;
    fail(ErrorKind::invalid_frame, "Another thread changed the encoder's picture size while the frame was submitted.",
         "Submit it again in the new size.");
}

void require_device(const FrameView& frame, const Context& ours) {
    int gpu = 0;
    const CUresult result =
        ours.functions().cuPointerGetAttribute(&gpu, pointer_device_ordinal, reinterpret_cast<CUdeviceptr>(frame.data));
    if (result == cuda_invalid_value) {
        fail(ErrorKind::invalid_frame, "The frame's pointer is not memory that CUDA knows in this process.",
             "Its memory was freed, or the array says CUDA but lies on the host.");
    }
    check_cuda(result, "cuPointerGetAttribute");
    if (gpu == ours.gpu()) return;
    fail(ErrorKind::invalid_frame,
         "The frame lies on GPU " + std::to_string(gpu) + "; this encoder works on GPU " + std::to_string(ours.gpu()) +
             ".",
         "Copy the frame there, or make an encoder with gpu_id=" + std::to_string(gpu) + ".");
}

// Memory of pools belongs to no context: every context of the GPU reaches it. Managed memory belongs to the context
// that allocated it. A plain copy reaches the memory of all contexts.
CUcontext owner_of(const FrameView& frame, bool in_place, const Context& ours) {
    const bool on_default_stream = frame.order == ProducerOrder::on_stream && is_default_stream(frame.stream);
    if (!in_place && !on_default_stream && !frame.image) return ours.handle();
    CUcontext owner = nullptr;
    const CUresult result =
        ours.functions().cuPointerGetAttribute(&owner, pointer_context, reinterpret_cast<CUdeviceptr>(frame.data));
    return result == cuda_success && owner != nullptr ? owner : ours.handle();
}

}  // namespace pdum::nvenc
