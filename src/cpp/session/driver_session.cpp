#include "session/driver_session.hpp"

#include <algorithm>

#include "session/gpu_limits.hpp"
#include "session/open_encoder.hpp"

namespace pdum::nvenc {

DriverSession::DriverSession(const Abi& abi, const Context& context, const Settings& settings,
                             const EngineStreams& streams)
    : streams_(streams),
      api_(open_encoder(abi, context)),
      settings_(api_->with_presets_numbers(settings)),
      outputs_(std::make_unique<OutputQueue>(*api_, settings_.reorder_depth(),
                                             settings_.two_views ? 1 : settings_.b_frames)) {
    require_within_limits(*api_, context, settings_);
    api_->initialize(settings_);
    api_->order_by_streams(streams_.input.address(), streams_.output.address());
}

void DriverSession::prepare(Inputs& inputs, uint32_t extra_output_delay) {
    inputs.register_with(*api_);
    // With a lookahead, the B-frames that wait for an anchor are held back beside it.
    const uint32_t held = outputs_->held_back() + (settings_.rate.lookahead > 0 ? settings_.b_frames : 0);
    const size_t expected = std::max(extra_output_delay, held) + size_t{1};
    const size_t shown = settings_.shows_ahead() ? settings_.rate.lookahead : 0;
    for (size_t i = inputs.own_surfaces(); i < expected + shown; ++i) inputs.new_surface();
    for (size_t i = 0; i < expected; ++i) outputs_->add();
}

void DriverSession::end_stream() {
    api_->end_of_stream();
    outputs_->end_stream();
}

// Nothing may be taken away from a running engine, and the stream has to be ended before its session. If the driver
// does not take the end, or does not give out what it promised, it is asked once more. After the end of the stream, the
// engine is done when the output stream is.
bool DriverSession::drain(Failures& failures) noexcept {
    const auto end_it = [&] { return failures.run([this] { end_stream(); }); };
    if (outputs_->is_unended()) end_it();
    if (outputs_->drain(failures) && !outputs_->is_unended()) return true;
    const bool ended = !failures.device_is_lost() && end_it();
    return outputs_->drain(failures) || (ended && failures.run([this] { streams_.output.synchronize(); }));
}

void DriverSession::release(Inputs& inputs, bool engine_is_done, Failures& failures) noexcept {
    unlock_outputs(failures);
    inputs.release(engine_is_done, failures);
    outputs_->release(engine_is_done, failures);
    failures.run([this] { api_->destroy(); });
}

}  // namespace pdum::nvenc
