// Makes the map that the driver reads from the caller's values for a picture's blocks.
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "abi/encode_api.hpp"
#include "abi/qp_map.hpp"
#include "cuda/cuda.hpp"
#include "session/stream_order.hpp"

namespace pdum::nvenc {

using SharedMap = std::shared_ptr<const BlockValues>;

// Call it in the owner's turn, with the context current.
class PictureMaps {
   public:
    explicit PictureMaps(std::shared_ptr<const Context> context) : context_(std::move(context)) {}

    // The map of a picture of that size; null for an encoder without maps. Throws invalid_config for a map of another
    // size or with values beyond the range. Waits for whoever makes a map on the GPU.
    SharedMap map_for(const std::optional<PictureMap>& given, const Settings& settings);

   private:
    BlockValues read(const MapArray& array, const BlockGrid& grid);
    CUcontext require_reachable(const MapArray& array, const DeviceMap& map) const;
    SharedMap neutral(const BlockGrid& grid);

    std::shared_ptr<const Context> context_;
    SharedMap neutral_;  // zeros
    // Of its own, so that reading a map waits for nothing else. Made for the first map on the GPU.
    std::unique_ptr<StreamOrder> order_;
};

}  // namespace pdum::nvenc
