// Pictures that are coded several times, of which the client keeps one (iterative encoding), and pictures that a client
// shows before it encodes them (external lookahead). The source is NVENC's programming guide on both.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "encode/coder.hpp"
#include "encode/references.hpp"

namespace nvsim {

struct Bitstream;

struct TrialLimits {
    uint32_t states = 0;     // numStateBuffers
    uint32_t lookahead = 0;  // pictures that the client shows ahead of the one that it encodes; 0: none
};

// What the coder would go on from if this trial were kept.
struct Trial {
    uint32_t state = 0;  // stateBufferIdx
    uint64_t serial = 0;
    const Bitstream* out = nullptr;
    uint64_t order = 0;  // of its output
    ReferenceRules references;
    uint64_t since_idr = 0;
};

// A picture from its first trial until a state is restored.
struct TriedPicture {
    uint32_t frame_index = 0;  // the client's
    const void* input = nullptr;
    PictureType type = PictureType::p;
    ReferenceRules references;  // before it, as the next number
    uint64_t since_idr = 0;
    std::vector<Trial> trials;
    // Restored in two parts.
    std::optional<uint32_t> rates_of, rest_of;

    const Trial* of_state(uint32_t state) const {
        for (const Trial& trial : trials)
            if (trial.state == state) return &trial;
        return nullptr;
    }
};

// Of a picture that was shown and not encoded yet.
struct ShownInput {
    const void* resource = nullptr;  // whatever handle the client has mapped it to
    int* in_flight = nullptr;
};

enum StateParts : uint32_t { all_of_it = 1, rates_alone = 2, all_but_rates = 3 };  // NV_ENC_STATE_RESTORE_TYPE

}  // namespace nvsim
