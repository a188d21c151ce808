#include "session/picture_hints.hpp"

#include <string>

#include "core/error.hpp"

namespace pdum::nvenc {

// A driver with hints wants some for every picture (NVIDIA's own example of hints says so).
SharedHints PictureHints::hints_for(const std::optional<HintVectors>& given, const Settings& settings,
                                    const EncodeApi& api) {
    if (settings.motion_hints == 0) return nullptr;
    const BlockGrid grid = block_grid(settings.codec, settings.width, settings.height);
    if (!given) return none(grid, settings, api);
    if (given->size() != numbers_of(grid, settings.motion_hints)) {
        fail(ErrorKind::invalid_config,
             "motion_hints are for a picture of another size; this one has " + std::to_string(settings.width) + "x" +
                 std::to_string(settings.height) + " pixels.",
             "Make hints for the size that the encoder has now.");
    }
    return api.packed_hints(settings.codec, *given, settings.motion_hints);
}

SharedHints PictureHints::none(const BlockGrid& grid, const Settings& settings, const EncodeApi& api) {
    if (none_ == nullptr || none_->count != grid.count()) {
        none_ = api.packed_hints(settings.codec, HintVectors(numbers_of(grid, 1), no_hint), 1);
    }
    return none_;
}

}  // namespace pdum::nvenc
