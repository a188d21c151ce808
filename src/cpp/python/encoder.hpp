// The encoder as Python sees it: a session, and the caller's frames that the session reads in place.
#pragma once

#include <pybind11/pybind11.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <optional>

#include "abi/pixel_format.hpp"
#include "python/borrowed_frame.hpp"
#include "python/borrowed_map.hpp"
#include "python/frames_in_flight.hpp"
#include "python/held_stream.hpp"
#include "python/packet_binding.hpp"
#include "python/registration_owners.hpp"
#include "python/surface_binding.hpp"
#include "session/session.hpp"

namespace pdum::nvenc {

// It stores its properties, so that reading them waits for no other thread.
class Encoder {
   public:
    explicit Encoder(const SessionOptions& options);
    ~Encoder();

    Encoder(const Encoder&) = delete;
    Encoder& operator=(const Encoder&) = delete;

    // Python can call a method of an object whose __init__ has not run. pybind11 then gives it raw memory of this
    // class: zeroed, it reads as an encoder without a session.
    static void* operator new(size_t size) {
        void* memory = std::calloc(1, size);
        if (memory == nullptr) throw std::bad_alloc();
        return memory;
    }

    static void operator delete(void* memory) { std::free(memory); }

    pybind11::object encode(const pybind11::object& frame, bool force_idr, const pybind11::object& stream,
                            const pybind11::object& picture);
    pybind11::object submit(const pybind11::object& frame, const pybind11::object& seq, bool force_idr,
                            const pybind11::object& stream, const pybind11::object& picture,
                            const pybind11::object& on_released);
    // The picture's number for next_slices.
    int64_t begin_slices(const pybind11::object& frame, bool force_idr, const pybind11::object& stream,
                         const pybind11::object& picture);
    // The bytes that came since then, and whether they are the last.
    pybind11::tuple next_slices(int64_t pts, size_t taken, bool waits);
    // Whether a picture is open for attempts.
    bool begin_attempts(const pybind11::object& frame, const pybind11::object& seq, const pybind11::object& stream,
                        const pybind11::object& picture);
    pybind11::object attempt(const pybind11::object& picture);
    pybind11::object earlier_packets();
    void keep_attempt(uint32_t number);
    void drop_attempts();
    std::unique_ptr<Surface> surface(const pybind11::object& stream);
    pybind11::object flush();
    pybind11::object flush_pipeline();
    void reconfigure(const pybind11::dict& items);
    bool lost(const pybind11::object& seq);
    pybind11::bytes sequence_header();

    // Waits until the engine is done, then releases the frames that it read in place.
    void close();

    // Closes the encoder if it is still open. An exception that Python is handling stays as it is.
    void end();

    // For the garbage collector.
    int traverse(visitproc visit, void* arg) const { return frames_.traverse(visit, arg); }
    void clear() { frames_.take_all(); }

    size_t in_flight() const;

    uint32_t width() const { return static_cast<uint32_t>(size_.load() >> 32); }
    uint32_t height() const { return static_cast<uint32_t>(size_.load()); }
    std::string_view format() const {
        if (rgb_) return "rgb";
        return format_ != nullptr ? format_->name : "";
    }
    const char* codec() const { return nvenc::name_of(codec_); }
    const char* abi() const { return session().abi(); }
    int gpu_id() const { return session().gpu(); }

   private:
    // What submit() was called with.
    struct Call {
        const pybind11::object& frame;
        int64_t seq;
        bool force_idr;
        const pybind11::object& stream;
        const pybind11::object& picture;
        const pybind11::object& on_released;
        bool leaves = false;  // its access unit is read by next_slices
    };
    const std::shared_ptr<Session>& shared_session() const;
    Session& session() const { return *shared_session(); }

    static int64_t seq_of(const pybind11::object& number);
    // All but the map, whose memory is borrowed.
    PictureExtras extras_of(const pybind11::object& picture, bool force_idr) const;
    // The picture's pts.
    int64_t submit_to(PythonSink& sink, const Call& call);
    int64_t submit_frame(PythonSink& sink, const Call& call, const PictureExtras& extras);
    // Throws for an encoder of pairs.
    void require_single_frames() const;
    void submit_views(PythonSink& sink, const Call& call, const PictureExtras& extras);
    void submit_with_alpha(PythonSink& sink, const Call& call, const PictureExtras& extras);
    BorrowedFrame borrow(const pybind11::object& frame, const Call& call, const HeldStream& input_stream) const;

    // For successful and failed calls: in both cases the session has reported the state of the frame.
    void after_submit(PythonSink& sink, const Submission& submission, BorrowedFrame& borrowed, const Call& call);
    void submit_surface(PythonSink& sink, Surface& surface, const Call& call, const PictureExtras& extras);
    void flush_to(PythonSink& sink);

    // If rows are padded and chroma has half the pitch, a surface is not one array.
    void require_array(const SurfaceLease& lease) const;

    // The session is closed: it has no frames and no registrations any more.
    void after_close();

    // Another thread may have received the access unit before the frame was added. Then nothing else releases it.
    void release_if_finished(int64_t pts);

    // After a call that failed, which may have lost access units.
    void release_finished_frames();

    // Releases every frame whose access unit the sink has.
    void release_frames(PythonSink& sink);

    // Both in one value, since other threads read it while it changes.
    void set_size(uint32_t width, uint32_t height) { size_ = uint64_t{width} << 32 | height; }

    const FormatTraits* format_;
    std::atomic<uint64_t> size_{0};
    Codec codec_;
    bool rgb_;         // frames are RGB, converted into that format
    bool time_codes_;  // whether pictures may carry them
    std::optional<MapMode> map_mode_;
    uint32_t motion_hints_;
    uint32_t long_terms_;  // how many slots there are for long-term references
    bool manual_types_;    // whether the caller says what type each picture has
    bool sub_frames_;      // whether slices can be read before their picture is done
    bool has_grain_;       // whether the stream has film grain
    bool is_interlaced_;   // whether pictures are fields, unless they say otherwise
    bool two_views_;       // whether frames are pairs, of the left and the right eye
    uint32_t attempts_;    // that may be made at a picture
    bool alpha_pairs_;     // whether frames are pairs, of a frame and its alpha
    FramesInFlight frames_;
    std::shared_ptr<Session> session_;
    std::shared_ptr<RegistrationOwners> owners_;
};

}  // namespace pdum::nvenc
