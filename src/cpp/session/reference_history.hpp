// The encoded pictures to which later ones may refer.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

namespace pdum::nvenc {

class ReferenceHistory {
   public:
    struct Picture {
        int64_t pts;
        int64_t seq;
        bool is_reference = true;  // whether later ones may refer to it
        bool is_spoilt = false;
    };

    // The driver has taken a picture. `slot`: where it is kept as a long-term reference.
    void add(const Picture& picture, bool is_idr, std::optional<uint32_t> slot);

    // The first of these slots, a bit for each, that holds no picture since the last IDR.
    std::optional<uint32_t> first_empty(uint32_t slots) const;

    // What a lost picture means for the next one.
    struct Loss {
        bool is_harmless = false;     // the next one does not depend on it
        bool leaves_intact = false;   // the next one can refer to an earlier one that is kept
        std::vector<int64_t> spoilt;  // pts of the pictures to which it may not refer: the lost one, and later ones
    };

    // `kept`: how many of the last pictures the encoder keeps.
    Loss loss_of(int64_t seq, uint32_t kept) const;
    // Marks these: the next picture refers to none of them.
    void spoil(const std::vector<int64_t>& pts);

   private:
    // The pts of the first of the last pictures that are references, so many of them.
    int64_t first_of_last(uint32_t count) const;

    static constexpr uint32_t most_slots = 32;
    static constexpr size_t most_pictures = 256;

    std::deque<Picture> pictures_;                          // the last ones, in the order of their pts
    int64_t last_idr_ = 0;                                  // its pts
    std::array<std::optional<int64_t>, most_slots> slots_;  // the pts of the picture in each
};

}  // namespace pdum::nvenc
