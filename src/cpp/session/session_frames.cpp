// How a Session gets a frame to the engine: in place, or into a surface of its own by a copy or a conversion.
#include <optional>
#include <string>
#include <utility>

#include "core/nvtx.hpp"
#include "session/frame_copy.hpp"
#include "session/session.hpp"

namespace pdum::nvenc {
namespace {

constexpr const char* advice_for_copies =
    "Allocate it by cudaMalloc with rows a multiple of 16 bytes apart, write into encoder.surface(), or allow the "
    "copy.";

Error never_in_place(ErrorDetails refusal) {
    refusal.kind = ErrorKind::invalid_frame;
    refusal.summary = "copy='never' was asked for, but the driver refused to read the frame in place";
    refusal.advice = advice_for_copies;
    return Error(std::move(refusal));
}

Error with_copy_as_way_out(ErrorDetails refusal) {
    refusal.advice =
        "This was the first picture from the frame's memory. If the driver cannot read that memory, allow "
        "the copy (copy='auto'). " +
        refusal.advice;
    return Error(std::move(refusal));
}

// Whether the driver's refusal may be about the memory that it was given.
bool may_be_about_memory(const ErrorDetails& refusal) {
    return refusal.kind == ErrorKind::encoder_failed || refusal.kind == ErrorKind::unsupported_feature ||
           refusal.kind == ErrorKind::out_of_memory;
}

}  // namespace

bool Session::reads_in_place(const FrameView& frame, bool awaits_release, bool leaves) const {
    if (settings_.shows_ahead()) return false;  // it would be read long after the call
    const bool left_alone = awaits_release || (may_stay_in_flight() == 0 && !leaves);
    if (copy_ == CopyMode::always || (copy_ == CopyMode::automatic && !left_alone)) return false;
    const char* obstacle = frame.image ? "it is RGB, which the engine does not read" : inputs_->obstacle(frame);
    if (obstacle != nullptr) require_copy(obstacle);
    return obstacle == nullptr;
}

bool Session::is_readable_memory(const FrameView& frame) const {
    if (inputs_->is_readable(frame)) return true;
    if (copy_ == CopyMode::never) require_copy(inputs_->obstacle_of_memory(frame));
    return false;
}

void Session::require_copy(const char* obstacle) const {
    if (copy_ != CopyMode::never) return;
    fail(ErrorKind::invalid_frame,
         std::string("copy='never' was asked for, but the frame cannot be read in place: ") + obstacle + ".",
         advice_for_copies);
}

std::optional<size_t> Session::take_in_place(const FrameView& frame, CUcontext owner, std::optional<size_t> registered,
                                             Submission& submission) {
    submission.in_place = false;
    if (!registered) {
        if (!driver_accepts(frame, [&] { registered = inputs_->add(frame); })) return std::nullopt;
        submission.registered = true;
        submission.unregistered = inputs_->take_unregistered();
    }
    if (frame.order == ProducerOrder::on_stream) order_->wait_for(frame.stream, owner);
    if (!driver_accepts(frame, [&] { inputs_->map_ahead(*registered); })) {
        submission.registered = false;
        return std::nullopt;
    }
    submission.in_place = true;
    return registered;
}

template <typename Step>
bool Session::driver_accepts(const FrameView& frame, Step step) {
    try {
        step();
        return true;
    } catch (const Error& refusal) {
        const ErrorDetails& details = refusal.details();
        if (!may_be_about_memory(details) || (details.kind == ErrorKind::out_of_memory && copy_ == CopyMode::never))
            throw;
        inputs_->refuse(frame, failures_);
        if (copy_ == CopyMode::never) throw never_in_place(details);
        return false;
    }
}

// A refusal is remembered only if the copy is taken: a failure that both have is not about the memory.
void Session::encode_new_memory(const FrameView& frame, CUcontext owner, size_t input, int64_t seq,
                                const PictureExtras& extras, Submission& submission) {
    try {
        return encode(input, seq, extras);
    } catch (const Error& refusal) {
        if (!may_be_about_memory(refusal.details())) throw;
        if (copy_ == CopyMode::never) throw with_copy_as_way_out(refusal.details());
    }
    const size_t surface = inputs_->own_surface();
    bring_in(frame, owner, surface);
    encode(surface, seq, extras);
    inputs_->refuse(frame, failures_);
    submission.in_place = submission.registered = false;
}

// Copies or converts a frame into one of the encoder's own surfaces.
void Session::bring_in(const FrameView& frame, CUcontext owner, size_t input) {
    const NvtxRange range(frame.image ? "pdum.convert_to_nvenc" : "pdum.copy_to_nvenc");
    const CUstream ours = order_->input()->handle();
    const bool on_stream = frame.order == ProducerOrder::on_stream;
    if (on_stream) order_->wait_for(frame.stream, owner);
    try {
        if (frame.image) {
            rgb_->convert(frame, !is_foreign(owner), settings_, inputs_->rows(input), ours);
        } else {
            copy_frame(frame, settings_.format, settings_.height, inputs_->rows(input), *context_, ours);
        }
        order_->mark_read();
    } catch (...) {
        Failures ignored;                                         // the first failure is raised
        ignored.run([this] { order_->input()->synchronize(); });  // a part of the work may be reading the frame
        throw;
    }
    on_stream ? order_->make_wait_until_read(frame.stream, owner) : order_->wait_until_read();
}

}  // namespace pdum::nvenc
