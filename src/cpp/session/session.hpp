// An encoder as its user sees it: frames go in, access units with the numbers of their frames come out. It knows no
// Python.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "abi/encode_api.hpp"
#include "core/failures.hpp"
#include "core/turnstile.hpp"
#include "cuda/cuda.hpp"
#include "session/delivery.hpp"
#include "session/driver_session.hpp"
#include "session/frame_view.hpp"
#include "session/inputs.hpp"
#include "session/picture_hints.hpp"
#include "session/picture_maps.hpp"
#include "session/reconstructions.hpp"
#include "session/reference_history.hpp"
#include "session/rgb_input.hpp"
#include "session/stream_order.hpp"
#include "session/surface_lease.hpp"
#include "session/view_joiner.hpp"

namespace pdum::nvenc {

// How a frame on the GPU gets to the engine.
enum class CopyMode {
    automatic,  // in place if the call returns only after the engine has read the frame, or if the caller waits to be
                // told; otherwise by a copy
    always,
    never,  // in place, or not at all: the frame stays untouched until its access unit is out
};

struct SessionOptions {
    Settings settings;
    int gpu = 0;
    CUcontext context = nullptr;  // null: the GPU's primary context
    uint32_t extra_output_delay = 0;
    CopyMode copy = CopyMode::automatic;
    std::optional<std::string> forced_abi;
};

// One step of a live change. It must not call the session.
using Change = std::function<void(Settings&)>;

// What became of a frame that was submitted. It holds for a call that fails, too.
struct Submission {
    int64_t pts = 0;
    bool leaves = false;                    // given: the access unit is read by next_part()
    bool accepted = false;                  // the engine has the frame: its access unit comes out sooner or later
    bool in_place = false;                  // the engine reads the caller's memory until the access unit is out
    bool registered = false;                // the memory was registered for that just now
    std::vector<CUdeviceptr> unregistered;  // registered memory that has left since the last registration
};

// What the left and the right eye see.
using Views = std::array<FrameView, 2>;

// Several threads may use it: each call waits for its turn. A Sink may take Python's GIL during a turn, because no
// thread that holds the GIL ever waits for a turn.
class Session {
   public:
    // If it throws, nothing is left open.
    explicit Session(const SessionOptions& options);
    // Closes and ignores failures.
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    // `awaits_release`: the caller leaves the frame alone until it hears that the access unit is out.
    // `submission` says what became of the frame, whether the call returns or throws.
    void submit(const FrameView& frame, int64_t seq, const PictureExtras& extras, bool awaits_release, Sink& sink,
                Submission& submission);
    // A picture with two views, left and right. Both are copied. One access unit comes out for them.
    void submit_views(const Views& views, int64_t seq, const PictureExtras& extras, Sink& sink);
    // A frame and its alpha, a byte for each pixel. Both are copied.
    void submit_with_alpha(const FrameView& frame, const FrameView& alpha, int64_t seq, const PictureExtras& extras,
                           Sink& sink);
    // The bytes of an access unit that have come since `taken` of them, in `part`. Waits a moment for more, or for all
    // of them if `waits`. Whether the access unit is whole: `sink` has it then. The picture was submitted with
    // Submission::leaves.
    bool next_part(int64_t pts, size_t taken, bool waits, std::vector<uint8_t>& part, Sink& sink);
    // A surface that is free now, for a caller who writes it on `stream`. Its memory outlives the session if the lease
    // does.
    SurfaceLease lend_surface(CUstream stream);
    // `written`: the stream on which the caller has written it. The surface is free again when the lease has ended and
    // the engine has read it.
    void submit_surface(SurfaceLease& lease, CUstream written, int64_t seq, const PictureExtras& extras, Sink& sink);
    // Takes a copy of a frame for attempts at it. Whether a picture is open for them now: with a lookahead it is one
    // that was given earlier, or none yet. Without a frame, it is the next of those that are left.
    bool begin_attempts(const FrameView* frame, int64_t seq, const PictureExtras& extras);
    // Codes the picture that is open once more, with the settings of now and the map of these extras if they have one,
    // and gives its access unit to the sink.
    void attempt(const PictureExtras& extras, Sink& sink);
    // Hands over what earlier frames left that no attempt gave.
    void take_earlier(Sink& sink);
    // The stream goes on from this attempt, counted from 0. No picture is open any more.
    void keep_attempt(uint32_t number);
    // Likewise, without a choice: from the last attempt. Without any, the picture is left out if that is possible.
    void drop_attempts();
    // The owner of a registered frame's memory is gone.
    void forget(CUdeviceptr address) noexcept;
    // Brings out everything that is in flight. If the stream has to be ended for that, the next picture is an IDR.
    void flush(Sink& sink);
    // The picture with that seq has not reached its viewer. Whether the next one refers to an earlier one that is
    // intact, or needs none; otherwise the next one is an IDR.
    bool lost(int64_t seq);
    // Makes all of the changes or none. Another picture size starts with an IDR. So does another mode of rate control
    // if the GPU cannot change it in a running session. In both cases the frames in flight are finished first, and come
    // out with the next call. If no session can be opened, the settings stay as they were, and the next frame opens
    // one.
    void reconfigure(const std::vector<Change>& changes);
    std::vector<uint8_t> sequence_header();
    // Waits for the engine and releases everything, then throws the first failure. Further calls do nothing.
    void close();
    // The same, but ignores failures.
    void close_quietly() noexcept;

    const char* abi() const noexcept { return abi_.name; }
    int gpu() const noexcept { return gpu_; }
    size_t in_flight() const;
    // Whether the access unit of the frame with that pts is still to come. Never so once the session is closed; always
    // so in a forked child, where this is unknown.
    bool is_in_flight(int64_t pts) const;
    // The stream on which a producer makes its frame ready. Whoever holds it may use it, even while another thread
    // closes the session. Throws encoder_closed if the session is closed or being closed; waits for no turn.
    std::shared_ptr<const Stream> input_stream() const;
    // Likewise.
    void require_not_closed() const { static_cast<void>(input_stream()); }

   private:
    class Turn;

    // What the driver gets to encode.
    struct ReadyPicture {
        size_t input;
        int64_t seq;
        const PictureExtras& extras;
        SharedMap map;
        SharedHints hints;
        uint32_t view = 0;
        std::optional<uint32_t> attempt = std::nullopt;
        std::optional<size_t> alpha = std::nullopt;  // the input that holds it
    };

    // The same, kept for a later call.
    struct HeldPicture {
        size_t input = 0;
        int64_t seq = 0;
        PictureExtras extras;
        SharedMap map;
        SharedHints hints;

        ReadyPicture ready() const { return {input, seq, extras, map, hints}; }
    };

    // At one picture.
    struct Attempts {
        HeldPicture picture;
        uint32_t made = 0;
        bool is_idr = false;
        int64_t dts = 0;  // of all of them
    };

    // Opens a session of the driver. If it throws, none is open.
    void open(const Settings& settings);
    // Opens one again if the encoder has lost its own in `reopen`.
    void require_driver();
    // Ends the driver's session and opens another one with other settings.
    void reopen(Settings settings);
    // Waits for all frames in flight and keeps their access units.
    void finish_frames();
    void close_driver(bool engine_is_done) noexcept;
    void require_own_process() const;
    bool is_foreign(CUcontext context) const noexcept { return context != context_->handle(); }
    // Whether the frame is read in place. Throws if it must be and cannot.
    bool reads_in_place(const FrameView& frame, bool awaits_release, bool leaves) const;
    // The same, judged by the kind of its memory.
    bool is_readable_memory(const FrameView& frame) const;
    void require_copy(const char* obstacle) const;
    // Registers and maps the frame where it lies. None if the driver refuses that: the frame has to be copied then.
    std::optional<size_t> take_in_place(const FrameView& frame, CUcontext owner, std::optional<size_t> registered,
                                        Submission& submission);
    // Whether the driver did the step with the frame's own memory. It is not asked again for memory that it refused.
    template <typename Step>
    bool driver_accepts(const FrameView& frame, Step step);
    void bring_in(const FrameView& frame, CUcontext owner, size_t input);
    void encode(size_t input, int64_t seq, const PictureExtras& extras, uint32_t view = 0);
    SharedMap map_of(const PictureExtras& extras) { return maps_->map_for(extras.map, settings_); }
    SharedHints hints_of(const PictureExtras& extras) {
        return hints_.hints_for(extras.hints, settings_, driver_->api());
    }
    // Gives it to the driver. Whether it is an IDR.
    bool encode_ready(const ReadyPicture& picture);
    // The stream goes on from this picture.
    void advance(const ReadyPicture& picture, bool is_idr);
    // Shows a frame to the driver and holds it back.
    void show(size_t input, int64_t seq, const PictureExtras& extras);
    // Encodes held frames until no more than that are left.
    void encode_shown(size_t may_stay);
    // Encodes all of them and ends the stream.
    void end_shown();
    void require_no_attempts() const;
    Attempts& attempts();
    bool begin_in_turn(const FrameView* frame, int64_t seq, const PictureExtras& extras);
    void open_attempts(const HeldPicture& picture);
    void finish_attempts();
    // Whether the driver can be given the end of the stream, and has no frame any more that it was only shown.
    bool abandon_attempts() noexcept;
    bool keep_last_attempt() noexcept;
    void drop_promised();
    // Keeps the access units that the driver has promised for the next call.
    void keep_what_is_left();
    size_t copy_in(const FrameView& frame);
    size_t copy_alpha_in(const FrameView& alpha);
    void encode_view(const FrameView& frame, CUcontext owner, int64_t seq, const PictureExtras& extras, uint32_t view);
    void lose_left_view() noexcept;
    // Pictures of the driver for one of the caller.
    uint32_t views() const noexcept { return settings_.two_views ? 2 : 1; }
    void run_in_turn(const std::function<void()>& call);
    // Encodes from memory that was just registered. If the driver refuses that, encodes a copy unless copy='never'.
    void encode_new_memory(const FrameView& frame, CUcontext owner, size_t input, int64_t seq,
                           const PictureExtras& extras, Submission& submission);
    bool next_is_idr(const PictureExtras& extras, uint32_t view) const;
    // What the driver is told with a picture, besides what the request itself has; null if that is nothing. `own` is
    // memory for extras that differ from the picture's.
    const PictureExtras* told_with(const PictureExtras& extras, bool is_idr, PictureExtras& own) const;
    // The stream has this grain from now on.
    void take_grain(const PictureExtras& extras);
    // Throws invalid_config if the picture would refer to a slot without a picture.
    void require_long_term(const PictureExtras& extras) const;
    bool can_invalidate() const;
    // Whether the driver took all of them.
    bool invalidate(const std::vector<int64_t>& pts);
    size_t may_stay_in_flight() const;
    // Hands over what the driver gives out, until no more frames than that are with it.
    void take_out(size_t may_stay_in_flight, Sink& sink);
    // Hands over an access unit that is locked.
    void deliver(const LockedAccessUnit& unit, Sink& sink);
    // As take_out, after the kept access units.
    void collect(size_t may_stay_in_flight, Sink& sink);
    void give_back(const Finished& finished) noexcept;
    // Gives back what a picture that the driver refused would have used.
    void withdraw(const PictureRequest& request, const Submitted& picture) noexcept;
    void end_stream();
    void release_everything() noexcept;
    void abandon() noexcept;

    // The position in the stream of pictures.
    struct Position {
        int64_t next_pts = 0;
        bool must_be_idr = false;  // the stream was ended or changed its size
        uint64_t since_idr = 0;    // frames submitted from the last IDR on
    };

    std::shared_ptr<const Context> context_;  // null once closed
    const int gpu_;
    const Abi& abi_;
    Settings settings_;
    const uint32_t extra_output_delay_;
    const CopyMode copy_;
    const uint64_t made_in_;  // process_generation() of the maker

    mutable Turnstile turn_;
    std::shared_ptr<const Stream>
        open_input_;  // read and written atomically; null as soon as the session is being closed
    std::unique_ptr<StreamOrder> order_;
    std::unique_ptr<Stream> output_stream_;
    std::unique_ptr<Inputs> inputs_;
    std::unique_ptr<DriverSession> driver_;  // null once closed, and after a `reopen` that failed
    std::unique_ptr<PictureMaps> maps_;
    PictureHints hints_;
    std::unique_ptr<Reconstructions> reconstructions_;  // null unless the settings ask for them
    std::unique_ptr<RgbInput> rgb_;                     // null unless frames are RGB

    Delivery delivery_;
    ViewJoiner joiner_;
    Position position_;
    std::deque<HeldPicture> shown_;  // to the driver, and not encoded yet
    bool shown_ends_ = false;        // the last one was encoded with too few after it
    std::optional<Attempts> attempts_;
    ReferenceHistory references_;
    bool grain_is_pictures_ = false;  // settings_.film_grain is what a picture has brought
    Failures failures_;               // failed releases, raised by the next call since their access units were good
};

}  // namespace pdum::nvenc
