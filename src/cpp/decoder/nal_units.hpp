// The NAL units of H.264 and HEVC in Annex B's form.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace pdum::nvenc {

// Without its start code. It refers to the bytes that it was found in.
struct NalUnit {
    const uint8_t* data = nullptr;
    size_t size = 0;
};

class NalUnits {
   public:
    NalUnits(const uint8_t* data, size_t size);
    // The next one; none at the end. Empty ones are left out.
    std::optional<NalUnit> next();

   private:
    const uint8_t* find_start(const uint8_t* from) const;

    const uint8_t* const end_;
    const uint8_t* at_;  // behind a start code; null if there is no more
};

// How far behind a picture all pictures are right again, as a message of supplemental information says it: in frames in
// H.264, and in the order of display in HEVC. `unit` begins behind its header.
std::optional<int64_t> recovery_distance(const NalUnit& unit, bool is_hevc);

}  // namespace pdum::nvenc
