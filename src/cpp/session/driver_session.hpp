// A session of the driver, from its opening to its end. An encoder has one at a time, and may have several in its
// life: what no running session can change takes a new one.
#pragma once

#include <memory>

#include "abi/encode_api.hpp"
#include "core/failures.hpp"
#include "cuda/cuda.hpp"
#include "session/inputs.hpp"
#include "session/output_queue.hpp"

namespace pdum::nvenc {

// The CUDA streams between which the engine works. They have to outlive every session that they order.
struct EngineStreams {
    const Stream& input;
    const Stream& output;
};

class DriverSession {
   public:
    // Throws if the GPU or the driver cannot do what the settings ask, and then leaves nothing open.
    DriverSession(const Abi& abi, const Context& context, const Settings& settings, const EngineStreams& streams);

    EncodeApi& api() noexcept { return *api_; }
    OutputQueue& outputs() noexcept { return *outputs_; }
    const OutputQueue& outputs() const noexcept { return *outputs_; }
    // With the preset's numbers in place of those that were left to the preset.
    const Settings& settings() const noexcept { return settings_; }

    // Registers the encoder's own surfaces, and makes as many surfaces and output buffers as will be used.
    void prepare(Inputs& inputs, uint32_t extra_output_delay);

    // Makes the driver give out everything that it holds back. The next picture has to be an IDR.
    void end_stream();
    // Waits for the engine and drops what it gives out. Whether the engine is known to be done with every picture.
    bool drain(Failures& failures) noexcept;
    // Unlocks what is locked: the driver takes no surface back before.
    void unlock_outputs(Failures& failures) noexcept { outputs_->unlock_all(failures); }
    // Gives everything back and ends the session. What the driver does not take back piece by piece, and what the
    // engine may still use, the driver takes back with the session.
    void release(Inputs& inputs, bool engine_is_done, Failures& failures) noexcept;

   private:
    EngineStreams streams_;
    std::unique_ptr<EncodeApi> api_;
    Settings settings_;
    std::unique_ptr<OutputQueue> outputs_;
};

}  // namespace pdum::nvenc
