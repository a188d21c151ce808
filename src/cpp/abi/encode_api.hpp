// One hardware session behind a small class that has no NVIDIA type in it. Its implementation is written once
// (session_impl.inl) and compiled for each version of the interface in a namespace of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "abi/capabilities.hpp"
#include "abi/message.hpp"
#include "abi/motion.hpp"
#include "abi/motion_hints.hpp"
#include "abi/qp_map.hpp"
#include "abi/settings.hpp"
#include "abi/statistics.hpp"
#include "cuda/cuda_types.hpp"
#include "cuda/driver.hpp"

namespace pdum::nvenc {

enum class PictureType { p, b, i, idr, skipped, intra_refresh, non_reference_p, switch_frame, unknown };

// Opaque handles of the driver.
using RegisteredHandle = void*;
using MappedHandle = void*;
using OutputHandle = void*;

struct TimeCode {
    uint32_t hours = 0;
    uint32_t minutes = 0;
    uint32_t seconds = 0;
    uint32_t frames = 0;
    bool drop_frame = false;
};

// What goes with one picture besides its pixels.
struct PictureExtras {
    bool force_idr = false;
    bool force_intra = false;
    bool force_p = false;      // no IDR, even if one is due; only with manual types
    bool is_reference = true;  // whether later pictures may refer to it; false only with manual types
    std::vector<Message> messages;

    // Whether the driver's struct of the codec needs any of it.
    bool has_codec_fields() const {
        return !messages.empty() || time_code || mark_long_term || use_long_term != 0 || film_grain;
    }

    std::optional<uint32_t> mark_long_term;  // keeps the picture in this slot
    uint32_t use_long_term = 0;              // a bit for each slot that the picture may refer to, and to nothing else
    std::optional<TimeCode> time_code;       // only for H.264; the other codecs carry it as a message
    std::optional<Structure> structure;      // other than the stream's own
    std::optional<FilmGrain> film_grain;     // AV1: from this picture on
    std::optional<PictureMap> map;           // refused if its size is not the picture's
    std::optional<HintVectors> hints;        // likewise
};

struct PictureRequest {
    MappedHandle input = nullptr;
    MappedHandle alpha = nullptr;  // of a frame that has none of its own; may be null
    OutputHandle output = nullptr;
    MappedHandle reconstruction =
        nullptr;             // where the engine writes the picture as a decoder will show it; may be null
    uint64_t timestamp = 0;  // comes back on the access unit of this picture
    uint32_t width = 0;
    uint32_t height = 0;
    uint32_t pitch = 0;
    bool force_idr = false;
    bool force_intra = false;
    bool is_reference = true;
    Structure structure = Structure::frame;
    uint32_t view = 0;                      // of two: 0 for the left eye, 1 for the right one
    uint64_t since_idr = 0;                 // pictures since the last IDR; 0: it is one
    bool is_idr = false;                    // whether it will be an IDR, requested or not
    const PictureExtras* extras = nullptr;  // may be null
    const BlockValues* map = nullptr;       // may be null; stays in place until the access unit is locked
    const PackedHints* hints = nullptr;     // likewise
    std::optional<uint32_t> attempt;        // one of several at the picture, which leaves its state in that buffer
};

struct LockedAccessUnit {
    const void* data = nullptr;  // the driver's, until it is unlocked
    size_t size = 0;
    uint64_t timestamp = 0;
    PictureType type = PictureType::unknown;
    uint32_t average_qp = 0;
    uint32_t temporal_layer = 0;
    std::shared_ptr<const PictureStatistics> statistics;  // null unless the settings ask for them
};

// What there is of an access unit before it is done.
struct LockedPart {
    bool is_locked = false;  // false: the driver has nothing yet, and there is nothing to unlock
    bool is_whole = false;
    LockedAccessUnit unit;  // its bytes so far; the rest is unknown unless it is whole
};

enum class Accepted { ready, needs_more_input };

// Not thread-safe: its owner lets one thread in at a time. The session's CUDA context has to be current in every call.
// Every call throws what the driver answers. A caller that releases several things catches each error and goes on.
class EncodeApi {
   public:
    virtual ~EncodeApi() = default;

    virtual const char* version_name() const = 0;
    virtual std::vector<Codec> codecs() = 0;
    // Whether this version of the interface can ask for it at all.
    virtual bool knows(Capability capability) const = 0;
    virtual int capability(Codec codec, Capability capability) = 0;

    // The settings, with the preset's numbers for those that they leave open.
    virtual Settings with_presets_numbers(Settings settings) = 0;
    virtual void initialize(const Settings& settings) = 0;
    // `from_scratch`: for another picture size; the next picture is an IDR.
    virtual void reconfigure(const Settings& settings, bool from_scratch) = 0;
    virtual std::vector<uint8_t> sequence_header() = 0;
    // Both handles must stay in place as long as the session lives.
    virtual void order_by_streams(const CUstream* input, const CUstream* output) = 0;

    virtual OutputHandle create_output() = 0;
    virtual void destroy_output(OutputHandle output) = 0;
    virtual RegisteredHandle register_surface(CUdeviceptr pointer, uint32_t width, uint32_t height, uint32_t pitch) = 0;
    // For the engine to write to, as `format`.
    virtual RegisteredHandle register_reconstruction(CUdeviceptr pointer, PixelFormat format, uint32_t width,
                                                     uint32_t height, uint32_t pitch) = 0;
    virtual void unregister_surface(RegisteredHandle surface) = 0;
    virtual MappedHandle map(RegisteredHandle surface) = 0;
    virtual void unmap(MappedHandle surface) = 0;

    virtual SharedHints packed_hints(Codec codec, const HintVectors& vectors, uint32_t per_block) const = 0;
    virtual Accepted encode(const PictureRequest& request) = 0;
    // Pictures to come, in their order, for settings with shows_ahead().
    virtual void look_ahead(MappedHandle input) = 0;
    // Of the attempts at a picture, all of whose access units have been locked: the next picture follows this one.
    virtual void keep_attempt(uint32_t state_buffer) = 0;
    virtual void end_of_stream() = 0;
    // No later picture refers to the one that was submitted with this timestamp.
    virtual void invalidate(uint64_t timestamp) = 0;
    // Waits until the engine is done with the picture.
    virtual LockedAccessUnit lock(OutputHandle output) = 0;
    // Waits for nothing. Only if the settings have sub_frames.
    virtual LockedPart lock_part(OutputHandle output) = 0;
    virtual void unlock(OutputHandle output) = 0;

    // Instead of `initialize`: the session then finds motion and encodes nothing.
    virtual void initialize_motion(const MotionSettings& settings) = 0;
    virtual OutputHandle create_motion_output() = 0;
    virtual void destroy_motion_output(OutputHandle output) = 0;
    virtual void estimate_motion(MappedHandle input, MappedHandle reference, OutputHandle output) = 0;
    // Waits until the engine is done, and locks the output. `unlock` gives it back.
    virtual std::vector<MotionBlock> lock_motion(OutputHandle output) = 0;

    virtual void destroy() = 0;
};

// One version of the interface that this module speaks.
struct Abi {
    const char* name;  // "13.0"
    EncodeVersion version;
    // Opens a session on the context, which has to be current. Throws, and leaves nothing open.
    std::unique_ptr<EncodeApi> (*open)(CUcontext context);
};

const Abi& interface_12_1();
const Abi& interface_13_0();
const Abi& interface_13_1();

// The newest version that the driver speaks, or the forced one if the driver speaks it. Throws driver_not_found,
// driver_too_old, or invalid_config for an unknown name.
const Abi& choose_abi(const std::optional<std::string>& forced);

}  // namespace pdum::nvenc
