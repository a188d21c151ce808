// An encoder as its user thinks of it: frames in, access units with their frames' numbers out. It knows no Python.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "abi/encode_api.hpp"
#include "cuda.hpp"
#include "error.hpp"
#include "frame_view.hpp"

namespace pdum::nvenc {

struct SessionOptions {
    Settings settings;
    int gpu = 0;
    CUcontext context = nullptr;  // null: the GPU's primary context
    uint32_t extra_output_delay = 0;
    std::optional<std::string> forced_abi;
    std::vector<Message> at_idr;  // messages that each IDR carries: HDR's static metadata
};

// A step of a live change, in terms of the settings. It may not call back into the session.
using Change = std::function<void(Settings&)>;

struct AccessUnit {
    int64_t seq = 0;
    int64_t pts = 0;  // the frame's place in the order of submission, from 0
    int64_t dts = 0;  // never above pts, one more for each access unit
    PictureType type = PictureType::unknown;
    uint32_t average_qp = 0;
    const void* data = nullptr;  // valid while Sink::take runs
    size_t size = 0;
};

// Takes access units over, in coding order. Called at most once a call of the session's, with the driver's memory
// still locked.
class Sink {
   public:
    virtual ~Sink() = default;
    virtual void take(const std::vector<AccessUnit>& units) = 0;
};

// Safe to use from several threads: one goes at a time, and each call waits its turn. A Sink may take Python's GIL
// during a turn, because nobody who holds the GIL ever waits for a turn.
class Session {
   public:
    // Leaves nothing open where it throws.
    explicit Session(const SessionOptions& options);
    // Closes without telling of failures.
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    void submit(const FrameView& frame, int64_t seq, const PictureExtras& extras, Sink& sink);
    // Everything that is in flight. The encoder goes on with an IDR where the stream had to be ended for that.
    void flush(Sink& sink);
    // All of the changes or none. Another picture size starts with an IDR.
    void reconfigure(const std::vector<Change>& changes);
    std::vector<uint8_t> sequence_header();
    // Waits for the engine, then releases all; further calls do nothing. Throws the first failure after the last
    // release.
    void close();

    const char* abi() const noexcept { return abi_.name; }
    int gpu() const noexcept { return context_->gpu(); }
    size_t in_flight() const;
    // Where a producer that can order its own stream should make the frame ready.
    CUstream input_stream() const noexcept { return input_stream_handle_; }

   private:
    struct InputSlot {
        std::unique_ptr<DeviceRows> rows;
        uint32_t width = 0;
        uint32_t height = 0;
        RegisteredHandle registered = nullptr;
        MappedHandle mapped = nullptr;
        bool free = true;
    };

    struct Submitted {
        int64_t pts = 0;
        int64_t seq = 0;
        size_t input = 0;
    };

    class Turn;

    void set_up(const SessionOptions& options);
    void require_own_process() const;
    void require_open() const;
    void check_device(const FrameView& frame) const;
    size_t free_input();
    void drop_stale_inputs() noexcept;
    OutputHandle free_output();
    // Bytes from the start of the frame and of the surface.
    struct RowBlock {
        size_t source_offset;
        size_t source_pitch;
        size_t destination_offset;
        size_t destination_pitch;
        size_t row_bytes;
        size_t rows;
    };
    void copy_in(const FrameView& frame, const DeviceRows& destination);
    void copy_planes(const FrameView& frame, const DeviceRows& destination);
    void copy_rows(const FrameView& frame, const RowBlock& block, const DeviceRows& destination);
    void encode(size_t input, int64_t seq, const PictureExtras& extras);
    bool next_is_idr(const PictureExtras& extras) const;
    size_t promised_outputs() const;
    void collect(size_t may_stay_in_flight, Sink& sink);
    void lock_next();
    void give_back_locked() noexcept;
    void end_stream();
    template <typename Step>
    bool attempt(Step step) noexcept;
    void drain() noexcept;
    void release_everything() noexcept;
    void abandon() noexcept;

    std::shared_ptr<const Context> context_;
    const Abi& abi_;
    Settings settings_;
    const uint32_t extra_output_delay_;
    const uint64_t made_in_;  // process_generation() of the maker

    mutable std::mutex turn_;
    std::unique_ptr<Stream> input_stream_;
    std::unique_ptr<Stream> output_stream_;
    std::unique_ptr<Event> frame_ready_;
    std::unique_ptr<Event> frame_read_;
    CUstream input_stream_handle_ = nullptr;
    std::unique_ptr<EncodeApi> api_;

    std::vector<InputSlot> inputs_;
    std::vector<OutputHandle> free_outputs_;
    std::deque<OutputHandle> pending_outputs_;  // given to the driver, in the order in which it fills them
    std::vector<OutputHandle> locked_outputs_;  // locked and on their way out, or those whose unlocking failed
    std::vector<size_t> finished_inputs_;       // inputs of the access units on their way out
    std::vector<AccessUnit> units_;             // the access units on their way out
    std::deque<Submitted> submitted_;           // frames whose access units are not out, in the order of submission
    size_t lockable_ = 0;                       // how many of pending_outputs_ the driver has promised
    uint32_t held_back_ = 0;                    // how many frames the driver keeps before it gives one out
    uint32_t wanting_input_ = 0;                // calls in a row that were answered "more input"
    int64_t next_pts_ = 0;
    int64_t next_dts_ = 0;
    bool must_be_idr_ = false;  // the stream was ended or changed its size
    bool inputs_changed_size_ = false;
    uint64_t since_idr_ = 0;         // frames submitted from the last IDR on
    std::vector<Message> at_idr_;    // what each IDR carries
    std::optional<Error> deferred_;  // a failed release, told at the next call since its access unit was good
};

}  // namespace pdum::nvenc
