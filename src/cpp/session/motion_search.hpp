// A session of the driver that finds motion between two frames, and encodes nothing. It knows no Python.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "abi/encode_api.hpp"
#include "core/failures.hpp"
#include "core/turnstile.hpp"
#include "cuda/cuda.hpp"
#include "session/frame_view.hpp"
#include "session/inputs.hpp"
#include "session/stream_order.hpp"

namespace pdum::nvenc {

struct MotionOptions {
    MotionSettings settings;
    int gpu = 0;
    CUcontext context = nullptr;  // null: the GPU's primary context
    std::optional<std::string> forced_abi;
};

// Several threads may use it: each call waits for its turn.
class MotionSearch {
   public:
    // If it throws, nothing is left open.
    explicit MotionSearch(const MotionOptions& options);
    // Closes and ignores failures.
    ~MotionSearch();
    MotionSearch(const MotionSearch&) = delete;
    MotionSearch& operator=(const MotionSearch&) = delete;

    // Where each block of the frame lies in the reference. Both frames may be changed, in stream order, once it
    // returns.
    std::vector<MotionBlock> search(const FrameView& frame, const FrameView& reference);
    // Gives everything back, then throws the first failure. Further calls do nothing.
    void close();

    const char* abi() const noexcept { return abi_.name; }
    int gpu() const noexcept { return gpu_; }
    // The stream on which a producer makes its frame ready. Throws encoder_closed.
    std::shared_ptr<const Stream> input_stream() const;

   private:
    struct Mapped;
    // What the driver has done with the output.
    enum class Output { none, empty, filled, locked };

    void open();
    void require_own_process() const;
    void bring_in(const FrameView& frame, size_t input);
    std::vector<MotionBlock> search_between(size_t input, size_t reference);
    // Empties the output if an earlier search has failed to.
    void take_back_output();
    void release_output() noexcept;
    void release() noexcept;

    std::shared_ptr<const Context> context_;  // null once closed
    const int gpu_;
    const Abi& abi_;
    const MotionSettings settings_;
    const uint64_t made_in_;  // process_generation() of the maker

    mutable Turnstile turn_;
    std::shared_ptr<const Stream> open_input_;  // read and written atomically; null once closed
    std::unique_ptr<StreamOrder> order_;
    std::unique_ptr<Stream> output_stream_;
    std::unique_ptr<Inputs> inputs_;
    std::unique_ptr<EncodeApi> api_;
    OutputHandle output_ = nullptr;
    Output state_ = Output::none;
    Failures failures_;  // failed releases, raised by the next call since their vectors were good
};

}  // namespace pdum::nvenc
