// The order between the encoder's input stream and the streams of its callers, whatever context those belong to.
#pragma once

#include <memory>

#include "cuda/cuda.hpp"

namespace pdum::nvenc {

// The context of a stream. A default stream belongs to whatever context is current, so the caller names it.
// If the driver does not know the stream, this is `ours`: recording an event in it reports the error.
CUcontext context_of(CUstream stream, CUcontext of_default_streams, const Context& ours);

// Records a new event in a stream of `ours`. For a stream of another context, this waits on the host instead and
// returns null: that context, and the event with it, may be destroyed at any time.
std::unique_ptr<Event> record_end_of(CUstream stream, const std::shared_ptr<const Context>& ours);

// Nothing here waits on the host unless it says so. The encoder's context must be current in every call.
class StreamOrder {
   public:
    explicit StreamOrder(std::shared_ptr<const Context> context);

    // All work on frames is queued here. Every holder of the stream keeps it alive.
    const std::shared_ptr<const Stream>& input() const noexcept { return input_; }

    // Work that is queued on the input stream from now on waits for the work that `stream` holds now. Throws
    // invalid_frame if the stream is being captured.
    void wait_for(CUstream stream, CUcontext of_default_streams);

    // Marks the point at which the input stream has read a frame.
    void mark_read() const { read_.record(input_->handle()); }
    // Work that is queued on `stream` from now on waits for that point.
    void make_wait_until_read(CUstream stream, CUcontext of_default_streams) const;
    // Waits on the host for that point.
    void wait_until_read() const { read_.synchronize(); }

   private:
    bool is_foreign(CUcontext context) const noexcept { return context != context_->handle(); }
    CUcontext context_of_known(CUstream stream, CUcontext of_default_streams);
    bool record_ready(CUstream stream);
    void wait_for_foreign(CUstream stream, CUcontext context) const;

    std::shared_ptr<const Context> context_;
    std::shared_ptr<const Stream> input_;
    Event ready_;
    Event read_;
    CUstream known_stream_ = nullptr;  // the last stream found to be of our context; it may be gone by now
};

}  // namespace pdum::nvenc
