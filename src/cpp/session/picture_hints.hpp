// Makes the hints that the driver reads from the caller's vectors for a picture's blocks.
#pragma once

#include <optional>

#include "abi/encode_api.hpp"

namespace pdum::nvenc {

// Call it in the owner's turn.
class PictureHints {
   public:
    // The hints of a picture of that size; null for an encoder without hints. Throws invalid_config for vectors that
    // are of another size.
    SharedHints hints_for(const std::optional<HintVectors>& given, const Settings& settings, const EncodeApi& api);

   private:
    SharedHints none(const BlockGrid& grid, const Settings& settings, const EncodeApi& api);

    SharedHints none_;  // that suggest nothing
};

}  // namespace pdum::nvenc
