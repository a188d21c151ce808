#include "session/picture_maps.hpp"

#include <cstring>
#include <string>
#include <utility>
#include <variant>

#include "core/error.hpp"
#include "core/failures.hpp"

namespace pdum::nvenc {
namespace {

void require_shape(const MapArray& array, const BlockGrid& grid, const Settings& settings) {
    if (array.rows == grid.rows && array.columns == grid.columns) return;
    const std::string block = std::to_string(grid.block);
    fail(ErrorKind::invalid_config,
         "Expected " + std::string(array.name) + " of shape (" + std::to_string(grid.rows) + ", " +
             std::to_string(grid.columns) + ") for " + name_of(settings.codec) + " and " +
             std::to_string(settings.width) + "x" + std::to_string(settings.height) + ", got (" +
             std::to_string(array.rows) + ", " + std::to_string(array.columns) + ").",
         "Give one value for each block of " + block + "x" + block + " pixels, and round up at the edges.");
}

CUDA_MEMCPY2D rows_to_host(const DeviceMap& map, const BlockGrid& grid, BlockValues& values) {
    CUDA_MEMCPY2D copy{};
    copy.srcMemoryType = memory_device;
    copy.srcDevice = map.pointer;
    copy.srcPitch = map.pitch;
    copy.dstMemoryType = memory_host;
    copy.dstHost = values.data();
    copy.dstPitch = copy.WidthInBytes = grid.columns;
    copy.Height = grid.rows;
    return copy;
}

}  // namespace

// The driver codes a picture without a map by the last map that it was given (reported for real cards by
// selkies-project, commit 58209f0). So every picture of an encoder with maps has one.
SharedMap PictureMaps::map_for(const std::optional<PictureMap>& given, const Settings& settings) {
    if (!settings.map_mode) return nullptr;
    const BlockGrid grid = block_grid(settings.codec, settings.width, settings.height);
    if (!given) return neutral(grid);
    if (const auto* regions = std::get_if<std::vector<MapRegion>>(&*given)) {
        return std::make_shared<const BlockValues>(values_of_regions(*regions, grid));
    }
    const MapArray& array = std::get<MapArray>(*given);
    require_shape(array, grid, settings);
    BlockValues values = read(array, grid);
    require_range(values, grid, settings.codec, *settings.map_mode, array.unsigned_bytes, array.name);
    return std::make_shared<const BlockValues>(std::move(values));
}

SharedMap PictureMaps::neutral(const BlockGrid& grid) {
    if (neutral_ == nullptr || neutral_->size() != grid.count()) {
        neutral_ = std::make_shared<const BlockValues>(grid.count());
    }
    return neutral_;
}

// The driver takes maps only from host memory.
BlockValues PictureMaps::read(const MapArray& array, const BlockGrid& grid) {
    if (const auto* on_host = std::get_if<BlockValues>(&array.values)) return *on_host;
    const DeviceMap& map = std::get<DeviceMap>(array.values);
    const CUcontext owner = require_reachable(array, map);
    if (order_ == nullptr) order_ = std::make_unique<StreamOrder>(context_);
    if (map.produced_on) order_->wait_for(*map.produced_on, owner);
    BlockValues values(grid.count());
    const CUDA_MEMCPY2D copy = rows_to_host(map, grid, values);
    const Stream& stream = *order_->input();
    check_cuda(context_->functions().cuMemcpy2DAsync(&copy, stream.handle()), "cuMemcpy2DAsync");
    try {
        stream.synchronize();
    } catch (...) {
        Failures ignored;                                  // the first failure is raised
        ignored.run([&stream] { stream.synchronize(); });  // the copy may still be writing into `values`
        throw;
    }
    return values;
}

// The context of the memory, to which the default streams that it was made on belong.
CUcontext PictureMaps::require_reachable(const MapArray& array, const DeviceMap& map) const {
    int gpu = 0;
    const CUresult result = context_->functions().cuPointerGetAttribute(&gpu, pointer_device_ordinal, map.pointer);
    if (result == cuda_invalid_value) {
        fail(ErrorKind::invalid_config,
             std::string("The pointer of ") + array.name + " is no memory that CUDA knows in this process.",
             "Its memory was freed, or the array says CUDA but lies on the host.");
    }
    check_cuda(result, "cuPointerGetAttribute");
    if (gpu != context_->gpu()) {
        fail(ErrorKind::invalid_config,
             std::string(array.name) + " lies on GPU " + std::to_string(gpu) + "; this encoder works on GPU " +
                 std::to_string(context_->gpu()) + ".",
             "Copy it there, or pass it as an array on the host.");
    }
    CUcontext owner = nullptr;
    const bool known =
        context_->functions().cuPointerGetAttribute(&owner, pointer_context, map.pointer) == cuda_success;
    return known && owner != nullptr ? owner : context_->handle();
}

}  // namespace pdum::nvenc
