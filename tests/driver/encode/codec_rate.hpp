// A rate control of our own: x265's cannot change its rates while it runs, and x264's would count pictures that are not
// in the stream.
#pragma once

#include <array>
#include <cstdint>

#include "encode/coder.hpp"

namespace nvsim {

// Assumes that a picture's size halves with every 6 steps of the quantiser, learns the rest from what came of the
// pictures before, and pays back within half a second what they took too much. From one picture to the next of its type
// the quantiser moves by a few steps only, as that assumption does not hold far away.
class RateKeeper {
   public:
    explicit RateKeeper(const StreamSettings& settings);

    void change(const StreamSettings& settings);
    int quantiser(PictureType type) const;
    void coded(PictureType type, int quantiser, size_t bytes);

   private:
    static size_t kind(PictureType type);

    double bits_a_picture_ = 0;
    double window_ = 1;                   // pictures within which debt is paid back
    double debt_ = 0;                     // bits beyond the target, of all pictures so far
    std::array<double, 3> complexity_{};  // bits at quantiser 0 of I, P and B pictures
    std::array<int, 3> last_{};           // quantiser of the last I, P and B picture; 0: there was none
};

// For a constant quality: better for what others refer to.
// Of a picture's share of a constant bitrate, if it is filled up to that; 0 otherwise.
size_t least_bytes(const StreamSettings& settings);

int quality_quantiser(const StreamSettings& settings, PictureType type);

}  // namespace nvsim
