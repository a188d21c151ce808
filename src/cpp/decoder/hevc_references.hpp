// Finds the pictures of HEVC that refer to missing ones: NVIDIA's parser puts other pictures in their places, and tells
// nobody.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "decoder/hevc_headers.hpp"
#include "decoder/references.hpp"

namespace pdum::nvenc {

// Nothing is said of a picture that cannot be read, and of those after it up to the next key frame.
class HevcReferences final : public StreamReferences {
   public:
    void read_packet(const uint8_t* data, size_t size) override;
    Outlook take_picture(const uint8_t* slices, size_t size) override;
    void spoil_last() override;
    void begin_anew() override;

   private:
    struct Kept {
        int64_t order = 0;  // of display
        bool is_affected = false;
    };
    struct Coded {
        HevcSlice slice;  // the first of the picture
        bool is_intra = true;
    };

    std::optional<Coded> read(const uint8_t* slices, size_t size) const;
    int64_t order_of(const HevcSlice& slice, bool begins);
    bool find_references(const Coded& picture, int64_t order);
    // Keeps it. Whether it is right.
    bool keep(const Kept* found, int64_t order, std::vector<Kept>& kept);
    void spoil_all();
    const Kept* find(int64_t order) const;
    const Kept* find(const HevcLongTerm& wanted, int64_t order, int64_t period) const;

    HevcParameters parameters_;
    std::vector<Kept> kept_;  // which pictures may refer to; the last one is the last picture
    int64_t last_order_ = 0;  // of the last picture that gives the next ones their periods
    bool begins_sequence_ = true;
    bool ends_sequence_ = false;  // behind the packet
    bool is_unsure_ = false;
    std::optional<int64_t> recovery_;     // of the packet: see recovery_distance()
    std::optional<int64_t> recovers_at_;  // from here on, in the order of display, pictures are right
};

}  // namespace pdum::nvenc
