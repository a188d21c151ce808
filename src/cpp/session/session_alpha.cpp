// Frames whose alpha is an array of its own. The driver takes it as the luma of another picture.
#include "session/frame_checks.hpp"
#include "session/session.hpp"

namespace pdum::nvenc {
namespace {

// Keeps a surface in use, so that it is not taken twice for a picture.
class MappedInput {
   public:
    MappedInput(Inputs& inputs, size_t input, Failures& failures)
        : inputs_(inputs), input_(input), failures_(failures) {
        inputs_.map(input_);
    }
    ~MappedInput() { inputs_.unmap(input_, failures_); }
    MappedInput(const MappedInput&) = delete;
    MappedInput& operator=(const MappedInput&) = delete;

   private:
    Inputs& inputs_;
    const size_t input_;
    Failures& failures_;
};

}  // namespace

void Session::submit_with_alpha(const FrameView& frame, const FrameView& alpha, int64_t seq,
                                const PictureExtras& extras, Sink& sink) {
    run_in_turn([&] {
        const size_t input = copy_in(frame);
        {
            const MappedInput kept(*inputs_, input, failures_);
            ReadyPicture picture{input, seq, extras, map_of(extras), hints_of(extras)};
            picture.alpha = copy_alpha_in(alpha);
            advance(picture, encode_ready(picture));
        }
        collect(may_stay_in_flight(), sink);
    });
}

// Without colour: NVENC's documentation wants grey there.
size_t Session::copy_alpha_in(const FrameView& alpha) {
    constexpr unsigned char grey = 0x80;
    if (alpha.memory == FrameMemory::device) require_device(alpha, *context_);
    const CUcontext owner =
        alpha.memory == FrameMemory::device ? owner_of(alpha, false, *context_) : context_->handle();
    const size_t input = inputs_->own_surface();
    const DeviceRows& rows = inputs_->rows(input);
    check_cuda(
        context_->functions().cuMemsetD2D8Async(rows.pointer() + rows.pitch() * settings_.height, rows.pitch(), grey,
                                                settings_.width, settings_.height / 2, order_->input()->handle()),
        "cuMemsetD2D8Async");
    bring_in(alpha, owner, input);
    return input;
}

}  // namespace pdum::nvenc
