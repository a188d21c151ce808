// What makes the access units of one session: an echo of what went in, a fixed block, or a real codec.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/config.hpp"
#include "encode/coder.hpp"
#include "encode/surface.hpp"

namespace nvsim {

// Everything known about one session when its encoder was initialised or reconfigured.
struct SessionSettings {
    StreamSettings stream;
    std::string api;      // "13.0"
    int preset = 0;       // 1 to 7; 0: one of the presets of old
    int tuning = 0;       // NV_ENC_TUNING_INFO
    std::string digest;   // of the client's whole configuration
    std::string details;  // the configuration as a JSON object
    std::string gpu;
    int gpu_index = 0;
    int engine_index = 0;
};

// A picture whose pixels have been read.
struct SourcePicture {
    uint64_t serial = 0;
    uint64_t timestamp = 0;
    uint64_t duration = 0;
    uint32_t frame_index = 0;  // the client's
    uint32_t flags = 0;        // NV_ENC_PIC_FLAGS as given
    PictureType type = PictureType::p;
    int width = 0, height = 0;
    PixelFormat format = PixelFormat::undefined;
    const uint8_t* pixels = nullptr;  // packed
    const uint8_t* alpha = nullptr;   // likewise, and of the same format; null: none of its own
    bool output_headers = false;
    LayerPlace place;
    int structure = 1;                                     // NV_ENC_PIC_STRUCT
    const std::optional<FilmGrain>* film_grain = nullptr;  // a change
    const std::vector<SeiMessage>* sei = nullptr;
    const BlockMap* map = nullptr;
    bool wants_reconstruction = false;
    bool is_trial = false;                               // coded without advancing the coder
    const std::vector<uint64_t>* invalidated = nullptr;  // serials
};

class Maker {
   public:
    virtual ~Maker() = default;
    virtual bool reads_pixels() const = 0;
    // Pictures go in in display order; else in coding order.
    virtual bool display_order() const { return false; }
    // Access units that stay inside until further pictures or the end come, beyond those that reordering holds.
    virtual int delay() const { return 0; }
    virtual std::vector<uint8_t> headers() = 0;
    virtual void encode(const SourcePicture& picture, std::vector<AccessUnit>& out) = 0;
    virtual void flush(std::vector<AccessUnit>& out) = 0;
    virtual void reconfigure(const SessionSettings& settings) = 0;
    // The next picture follows the trial with this serial, as if there had been no other one.
    virtual void restore(uint64_t) {}
    // What stands for every access unit of a type where there is nothing to code; null: encode() makes each.
    virtual const std::vector<uint8_t>* fixed_unit(PictureType) const { return nullptr; }
};

std::unique_ptr<Maker> make_echo(const SessionSettings& settings);
std::unique_ptr<Maker> make_null(const SessionSettings& settings, size_t bytes);
// Throws Refusal if no codec library takes the settings.
std::unique_ptr<Maker> make_real(const SessionSettings& settings);

// Average QP of a picture as a driver would report it, if no codec tells.
int nominal_qp(const StreamSettings& stream, PictureType type);

uint32_t crc32(const uint8_t* data, size_t size, uint32_t seed = 0);

}  // namespace nvsim
