// Which of the pictures encoded so far later ones may refer to.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>

namespace pdum::nvenc {

class ReferenceHistory {
   public:
    // The driver has taken a picture. `slot`: where it is kept as a long-term reference.
    void add(int64_t pts, int64_t seq, bool is_idr, std::optional<uint32_t> slot);

    // The first of these slots, a bit for each, that holds no picture since the last IDR.
    std::optional<uint32_t> first_empty(uint32_t slots) const;

   private:
    static constexpr uint32_t most_slots = 32;

    std::array<std::optional<int64_t>, most_slots> slots_;  // the pts of the picture in each
};

}  // namespace pdum::nvenc
