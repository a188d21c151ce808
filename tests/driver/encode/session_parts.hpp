// What a session works with: its setup, what the calls of a client ask for, the client's objects, and pictures between
// their submission and their access units.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/cuda_calls.hpp"
#include "common/engine.hpp"
#include "encode/gop.hpp"
#include "encode/handles.hpp"
#include "encode/hints.hpp"
#include "encode/machine.hpp"
#include "encode/maker.hpp"
#include "encode/references.hpp"
#include "encode/staging.hpp"
#include "encode/statistics.hpp"
#include "encode/status.hpp"
#include "encode/trials.hpp"

namespace nvsim {

struct EncoderSetup {
    SessionSettings settings;
    GopStructure gop;
    int max_width = 0, max_height = 0;
    bool async = false;
    uint32_t rate_control_mode = 0;  // NV_ENC_PARAMS_RC_MODE as given
    uint32_t map_mode = 0;           // NV_ENC_QP_MAP_MODE
    int map_block = 16;              // pixels of the blocks that a map has values for
    HintLimits hints;
    TrialLimits trials;
    StatisticsLevel statistics = StatisticsLevel::none;
    bool motion_only = false;
    bool searches_intra = true;  // in motion of H.264
    bool sub_frames = false;     // a client may read slices before their picture is done
    bool reports_slices = false;
    bool reconstructs = false;                    // pictures may ask for their reconstruction
    std::vector<const char*> needs;               // capabilities that must not be 0, without their prefix
    PixelFormat format = PixelFormat::undefined;  // the client's hint
};

struct Registration {
    enum Usage : uint32_t { input = 0, reconstruction = 4 };  // NV_ENC_BUFFER_USAGE
    enum Type { directx, device_pointer, cuda_array, opengl } type = device_pointer;
    void* resource = nullptr;
    uint32_t width = 0, height = 0, pitch = 0;
    uint32_t format = 0;  // NV_ENC_BUFFER_FORMAT
    uint32_t usage = 0;   // NV_ENC_BUFFER_USAGE

    cu::DevicePtr address() const { return reinterpret_cast<cu::DevicePtr>(resource); }
};

struct Submission {
    uint32_t width = 0, height = 0, pitch = 0;
    uint32_t flags = 0;  // NV_ENC_PIC_FLAGS
    uint32_t frame_index = 0;
    uint64_t timestamp = 0, duration = 0;
    void* input = nullptr;
    void* output = nullptr;
    void* completion_event = nullptr;
    uint32_t format = 0;
    uint32_t structure = 1;  // NV_ENC_PIC_STRUCT
    uint32_t view = 0;       // viewId
    PictureType type = PictureType::p;
    const int8_t* map = nullptr;  // the client's
    uint32_t map_size = 0;
    HintSubmission hints;
    PictureReferences references;
    void* reconstruction = nullptr;       // outputReconBuffer
    std::optional<FilmGrain> film_grain;  // a change
    uint32_t state = 0;                   // stateBufferIdx
    void* alpha = nullptr;                // alphaBuffer

    bool is_trial() const;
};

enum PictureFlags : uint32_t {
    force_intra = 1,
    force_idr = 2,
    output_headers = 4,
    end_of_stream = 8,
    keep_state = 16,  // NV_ENC_PIC_FLAG_DISABLE_ENC_STATE_ADVANCE
    output_reconstruction = 32,
};

inline bool Submission::is_trial() const { return (flags & keep_state) != 0; }

struct LockedBitstream {
    void* data = nullptr;
    uint32_t size = 0;
    uint64_t timestamp = 0, duration = 0;
    uint32_t frame_index = 0;
    uint32_t display_index = 0;
    PictureType type = PictureType::p;
    uint32_t average_qp = 0;
    uint32_t temporal_layer = 0;
    uint32_t structure = 1;
    uint32_t alpha_bytes = 0;
    uint32_t intra_blocks = 0, inter_blocks = 0;
    int32_t motion_x = 0, motion_y = 0;  // the average
    uint32_t slices = 1;
    uint32_t status = 2;  // hwEncodeStatus: 2 if the picture is done, else 1
    uint32_t satd = 0;
    const std::vector<UnitStatistics>* units = nullptr;
};

struct LockedInput {
    void* data;
    uint32_t pitch;
};

// A client's objects. `in_flight` counts the pictures that still need the object.
struct InputBuffer {
    std::unique_ptr<uint8_t[]> memory;
    uint32_t width = 0, height = 0, pitch = 0;
    PixelFormat format = PixelFormat::undefined;
    bool locked = false;
    int in_flight = 0;
    void clear() { *this = InputBuffer(); }
};

struct Registered {
    Registration wanted;
    PixelFormat format = PixelFormat::undefined;
    int maps = 0;
    void clear() { *this = Registered(); }
};

struct Mapped {
    Registered* registered = nullptr;
    void* handle = nullptr;
    int in_flight = 0;
    std::vector<uint8_t> reconstruction;  // packed; written to the client's memory when it is unmapped
    void clear() { *this = Mapped(); }
};

// A picture between its submission and its access unit.
struct Record {
    SourcePicture source;
    SurfaceSource surface;
    std::vector<SeiMessage> sei;
    std::vector<uint64_t> invalidated;
    std::shared_ptr<const BlockMap> map;
    const int8_t* map_memory = nullptr;  // the client's, which has to stay as it is until the picture is coded
    const void* hints_memory = nullptr;  // likewise
    std::vector<uint8_t> hints;          // a copy
    PictureReferences references;
    uint64_t display_index = 0;
    std::optional<FilmGrain> film_grain;
    Staging* pixels = nullptr;
    SurfaceSource alpha_surface;
    Staging* alpha = nullptr;
    int* alpha_in_flight = nullptr;
    Staging* again = nullptr;  // read a second time when a held picture is started
    int* in_flight = nullptr;  // of its input
    Mapped* reconstruction = nullptr;
    BlockGrid grid;  // of its statistics
    std::vector<uint32_t> activity;
    void* input = nullptr;  // its handle, for messages
    Clock::time_point submitted{};
    bool checked = false;   // the input was looked at again, or is not ours to look at any more
    bool checking = false;  // the engine's thread is looking right now
    bool coded = false;
};

// What a client sees of a picture that is not done.
struct SubFrame {
    std::vector<uint8_t> data;  // of the whole picture
    std::vector<size_t> ends;   // of its slices
    Clock::time_point begin{}, end{};
    std::vector<uint8_t> lent;  // what the client has locked of it
    uint32_t shown = 0;         // slices that were shown already, if the client's calls decide
    bool is_locked = false;     // before the picture was done
};

struct Bitstream {
    enum State { idle, pending, ready, locked } state = idle;
    void* handle = nullptr;
    Record* paired = nullptr;  // the picture submitted together with this buffer
    uint64_t order = 0;        // of its submission
    AccessUnit unit;
    LockedBitstream view;
    std::vector<UnitStatistics> units;
    SubFrame sub_frame;
    bool is_vectors = false;  // made for motion alone
    bool failed = false;      // nothing will come: the coder refused
    bool is_locked() const { return state == locked || sub_frame.is_locked; }
    void clear() { *this = Bitstream(); }
};

struct SessionCounts {
    size_t sessions = 0, bitstream_buffers = 0, input_buffers = 0, registered = 0, mapped = 0, locked = 0;
};

}  // namespace nvsim
