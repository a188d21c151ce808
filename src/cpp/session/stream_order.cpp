#include "session/stream_order.hpp"

#include <utility>

#include "core/error.hpp"

namespace pdum::nvenc {
namespace {

// A captured stream records the encoder's wait into its graph instead of carrying it out. The legacy stream cannot be
// captured. If the driver does not say, recording an event in the stream shows it.
void require_no_capture(CUstream stream, const CudaFunctions& functions) {
    int status = stream_capture_none;
    if (stream == legacy_stream() || functions.cuStreamIsCapturing(stream, &status) != cuda_success) return;
    if (status == stream_capture_none) return;
    fail(ErrorKind::invalid_frame, "The frame's stream is being captured into a CUDA graph.",
         "Encoding cannot be captured: end the capture, launch the graph on the stream, then submit the frame.");
}

}  // namespace

CUcontext context_of(CUstream stream, CUcontext of_default_streams, const Context& ours) {
    if (is_default_stream(stream)) return of_default_streams;
    CUcontext context = nullptr;
    const CUresult result = ours.functions().cuStreamGetCtx(stream, &context);
    return result == cuda_success && context != nullptr ? context : ours.handle();
}

std::unique_ptr<Event> record_end_of(CUstream stream, const std::shared_ptr<const Context>& ours) {
    const CUcontext context = context_of(stream, ours->handle(), *ours);
    const bool foreign = context != ours->handle();
    const std::shared_ptr<const Context> theirs = foreign ? Context::borrowed(context) : ours;
    const ContextScope scope(*theirs);
    auto event = std::make_unique<Event>(theirs);
    event->record(stream);
    if (!foreign) return event;
    event->synchronize();
    return nullptr;
}

StreamOrder::StreamOrder(std::shared_ptr<const Context> context)
    : context_(std::move(context)),
      input_(std::make_shared<const Stream>(context_)),
      ready_(context_),
      read_(context_) {}

CUcontext StreamOrder::context_of_known(CUstream stream, CUcontext of_default_streams) {
    if (!is_default_stream(stream) && stream == known_stream_) return context_->handle();
    const CUcontext context = context_of(stream, of_default_streams, *context_);
    if (!is_default_stream(stream) && !is_foreign(context)) known_stream_ = stream;
    return context;
}

void StreamOrder::wait_for(CUstream stream, CUcontext of_default_streams) {
    require_no_capture(stream, context_->functions());
    const bool recorded = !is_foreign(context_of_known(stream, of_default_streams)) && record_ready(stream);
    if (!recorded) return wait_for_foreign(stream, context_of_known(stream, of_default_streams));
    ready_.make_wait(input_->handle());
}

// False if a known stream is gone and its handle now belongs to a stream of another context.
bool StreamOrder::record_ready(CUstream stream) {
    try {
        ready_.record(stream);
        return true;
    } catch (const Error&) {
        if (std::exchange(known_stream_, nullptr) != stream ||
            !is_foreign(context_of_known(stream, context_->handle()))) {
            throw;
        }
        return false;
    }
}

// An event can only be recorded in streams of the same context, while any stream can wait for it. The event lives for
// this call only, because contexts come and go and their handles are used again.
void StreamOrder::wait_for_foreign(CUstream stream, CUcontext context) const {
    const std::shared_ptr<const Context> theirs = Context::borrowed(context);
    const ContextScope scope(*theirs);
    const Event ready(theirs);
    ready.record(stream);
    ready.make_wait(input_->handle());
}

// A default stream is that of the current context; other streams wait from any context.
void StreamOrder::make_wait_until_read(CUstream stream, CUcontext of_default_streams) const {
    if (!is_default_stream(stream) || !is_foreign(of_default_streams)) return read_.make_wait(stream);
    const std::shared_ptr<const Context> theirs = Context::borrowed(of_default_streams);
    const ContextScope scope(*theirs);
    read_.make_wait(stream);
}

}  // namespace pdum::nvenc
