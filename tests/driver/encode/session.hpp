// One encode session: what a client's calls do, without any type of a particular API version.
//
// Every public method of Session is called with the mutex of the session's cell held, and throws Refusal if the
// answer is an error. Work on pictures happens on the engine's thread, which takes that mutex to hand results over.
#pragma once

#include <algorithm>
#include <deque>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "common/cuda_calls.hpp"
#include "common/engine.hpp"
#include "encode/gop.hpp"
#include "encode/handles.hpp"
#include "encode/hints.hpp"
#include "encode/machine.hpp"
#include "encode/maker.hpp"
#include "encode/motion.hpp"
#include "encode/references.hpp"
#include "encode/session_parts.hpp"
#include "encode/staging.hpp"
#include "encode/statistics.hpp"
#include "encode/status.hpp"
#include "encode/trials.hpp"

namespace nvsim {

class Session : public std::enable_shared_from_this<Session> {
   public:
    Session(Cell& cell, Device& device, uint32_t number, void* context, std::string api, size_t null_bytes);
    ~Session();

    void initialize(const EncoderSetup& setup);
    void reconfigure(const EncoderSetup& setup, bool reset, bool force_idr);
    std::vector<uint8_t> headers();
    void set_streams(cu::Stream input, cu::Stream output);

    void* create_bitstream();
    void destroy_bitstream(void* handle);
    void* create_vectors();
    void destroy_vectors(void* handle);
    void estimate(void* input, void* reference, void* vectors, uint32_t width, uint32_t height);
    void* create_input(uint32_t width, uint32_t height, uint32_t format);
    void destroy_input(void* handle);
    LockedInput lock_input(void* handle, bool wait);
    void unlock_input(void* handle);
    void* register_resource(const Registration& wanted);
    void unregister_resource(void* handle);
    void* map(void* registered, uint32_t& format);
    void unmap(void* handle);

    // Taken over by the next encode().
    std::vector<SeiMessage>& next_sei() { return next_sei_; }
    Status encode(const Submission& submission);
    void invalidate(uint64_t timestamp);
    // The picture that was tried is the one of this state buffer. `parts`: NV_ENC_STATE_RESTORE_TYPE.
    void restore(uint32_t state, uint32_t parts, void* output);
    void look_ahead(void* input);
    // Waits on the cell until the output is there; the mutex is let go meanwhile.
    LockedBitstream lock(std::unique_lock<std::mutex>& mutex, void* handle, bool wait);
    // Where the slices begin in what is locked; nothing if the client does not want to know.
    std::vector<uint32_t> slice_offsets(const LockedBitstream& locked) const;
    void unlock(void* handle);

    // Stops all work and gives everything back. The mutex is let go while the engine finishes.
    void destroy(std::unique_lock<std::mutex>& mutex);

    Device& device() { return device_; }
    bool initialized() const { return maker_ != nullptr; }
    Codec codec() const { return setup_.settings.stream.codec; }
    const StreamSettings& stream() const { return setup_.settings.stream; }
    uint32_t number() const { return number_; }
    bool closing() const { return closing_; }
    bool takes_hints() const { return setup_.hints.enabled; }
    StatisticsLevel statistics() const { return setup_.statistics; }
    std::string name() const { return "session " + std::to_string(number_); }
    void count(SessionCounts& counts);

    std::string last_error = "Success.";
    std::unique_ptr<SessionRegistry::Ticket> ticket;
    bool release_faulted = false;  // a releasing or ending call was made to fail: what that leaves is excused

   private:
    friend class SessionJob;
    friend class PictureJob;
    friend class FlushJob;
    friend class SettingsJob;
    friend class RestoreJob;

    void require_initialized() const;
    std::unique_ptr<Maker> make_maker() const;
    void check_supported(const EncoderSetup& setup) const;
    void check_live(const EncoderSetup& setup) const;
    void check_memory(const Registration& wanted, PixelFormat format);
    void check_kind_of_memory(const Registration& wanted);
    void abandon(const int* in_flight, const std::string& what);
    void apply_settings();
    bool differs(const char* point) const { return differs_.count(point) != 0; }
    void report_at_destroy(const std::string& what);
    void report_leftovers();
    Bitstream& bitstream(void* handle);
    size_t bytes_of_one_picture() const;
    void reserve_staging();

    void check_type(const Submission& submission) const;
    void check_view(const Submission& submission) const;
    void require_restored(const char* what) const;
    void check_trial(const Submission& submission) const;
    bool goes_back(const Submission& submission);
    void begin_trials(const Submission& submission);
    void remember_trial(const Submission& submission, const Bitstream& out, const PlannedPicture& picture);
    void restore_parts(uint32_t state, uint32_t parts);
    ShownInput shown_input(void* input);
    void check_shown(const Submission& submission);
    void take_shown();
    void forget_shown();
    void plan(const Submission& submission, uint64_t serial);
    void add_second_views();
    void find_input(const Submission& submission, Record& record);
    Bitstream& find_output(const Submission& submission);
    void read_pixels(Record& record);
    void find_alpha(const Submission& submission, Record& record);
    void read_alpha(Record& record);
    void check_alpha(const Record& record) const;
    LumaPlane luma_of(void* input);
    void take_map(const Submission& submission, Record& record);
    void take_hints(const Submission& submission, Record& record) const;
    void take_reconstruction(const Submission& submission, Record& record);
    void keep_reconstruction(Record& record, const std::vector<uint8_t>& planar);
    void write_reconstruction(Mapped& mapped);
    void check_reconstruction_buffer(const Registration& wanted, PixelFormat format) const;
    std::shared_ptr<const BlockMap> copy_of_map(const Submission& submission) const;
    void read_again(Record& record);
    void start(std::vector<PlannedPicture>& pictures);
    void submit(const PlannedPicture& picture);
    void submit_end();
    void place_in_sequence(Record& record);
    void accept(const Submission& submission, Record& record, Bitstream& out);
    bool read_into(Staging& staging, const Record& record);
    void measure(const Record& record);
    void fill(Bitstream& out, const Record& record, AccessUnit unit);
    void count(Bitstream& out, const Record& record);
    bool shows_a_part(Bitstream& out, bool wait, LockedBitstream& part);
    void begin_to_show(const std::vector<AccessUnit>& units, Clock::time_point begin, Clock::time_point end);
    Record& new_record();
    Record& record_of(uint64_t serial);

    // On the engine's thread, without the mutex.
    void wait_for_pixels(Record& record, Job& job);
    void check_inputs_of(const std::vector<AccessUnit>& units);
    void check_unchanged(Record& record);
    void check_map(const Record& record) const;
    void check_hints_memory(const Record& record) const;
    void fail_what_is_left(uint64_t outputs);
    bool still_the_same(Record& record);

    // With the mutex.
    void deliver(AccessUnit unit);
    void fail_pending(const std::string& why);
    void release_input(Record& record);
    void retire_records();

    Cell& cell_;
    Device& device_;
    const uint32_t number_;
    void* const context_;
    const std::string api_;
    const size_t null_bytes_;

    EncoderSetup setup_;
    std::mutex maker_mutex_;
    std::unique_ptr<Maker> maker_;
    GopPlanner planner_;
    Engine* engine_ = nullptr;
    bool inline_ = false;
    int delay_ = 0;
    bool reads_pixels_ = false;

    SlotTable<Bitstream> bitstreams_{Kind::bitstream};
    SlotTable<InputBuffer> inputs_{Kind::input};
    SlotTable<Registered> registered_{Kind::registered};
    SlotTable<Mapped> mapped_{Kind::mapped};

    cu::Stream input_stream_ = nullptr;
    cu::Stream output_stream_ = nullptr;
    bool streams_set_ = false;
    StagingPool staging_;
    cu::Stream check_stream_ = nullptr;
    StagingPool check_pool_;  // of the engine's thread

    std::vector<SeiMessage> next_sei_;
    std::vector<uint64_t> next_invalidated_;    // serials
    std::shared_ptr<const BlockMap> last_map_;  // that a picture was given
    ReferenceRules reference_rules_;
    std::vector<std::unique_ptr<Record>> records_;
    std::vector<Record*> free_records_;
    std::deque<Record*> window_;  // records in flight, by serial from window_start_ on
    uint64_t window_start_ = 0;
    uint64_t next_serial_ = 0;
    uint64_t further_trials_ = 0;         // pictures that were coded before
    std::optional<TriedPicture> tried_;   // until a state is restored
    std::optional<uint32_t> last_tried_;  // its frameIdx
    std::deque<ShownInput> shown_;        // to nvEncLookaheadPicture, and not encoded yet
    bool lookahead_ends_ = false;         // the last picture was encoded with too few shown after it
    uint64_t since_idr_ = 0;              // pictures started since the last IDR
    uint64_t planned_ = 0;                // pictures started since the coder was last empty
    uint64_t outputs_ = 0;                // output buffers submitted
    uint64_t flushed_outputs_ = 0;        // of them, those submitted before the last end of the stream
    uint64_t promised_ = 0;               // of them, those that will be filled without further input
    std::deque<Bitstream*> waiting_outputs_;
    std::vector<PlannedPicture> plan_;
    std::thread::id encoder_thread_;
    bool one_encoder_thread_ = true;
    bool ended_ = false;
    bool waits_for_view_ = false;    // the left view is there, and the right one is not
    PictureRequest left_;            // that view
    std::set<std::string> differs_;  // the configuration's points of difference

    size_t staged_bytes_ = 0;
    Clock::time_point measured_since_ = Clock::now();
    Clock::duration latency_sum_{};
    int measured_ = 0;
    std::string failure_;
    bool closing_ = false;
    int lockers_ = 0;  // calls that wait for an output
    int locked_ = 0;   // outputs
};

}  // namespace nvsim
