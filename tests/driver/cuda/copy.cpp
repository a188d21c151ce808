#include "cuda/copy.hpp"

#include <cstring>
#include <memory>
#include <vector>

#include "common/instrument.hpp"
#include "cuda/memory.hpp"
#include "cuda/stream.hpp"

namespace nvsim::cuda {
namespace {

// An address that was checked.
struct Place {
    std::byte* bytes = nullptr;
    bool device = false;    // device or managed memory
    bool pageable = false;  // host memory that the driver does not know
};

CUresult refuse(uint64_t address, const char* message) {
    instrument::violation(name_of(reinterpret_cast<const void*>(address), "address"), message);
    return CUDA_ERROR_INVALID_VALUE;
}

// From the first byte to the one past the last; false if that is more than a size can hold.
bool span(const Layout& layout, const Extent& extent, size_t& bytes) {
    size_t slices = 0;
    size_t rows = 0;
    return !__builtin_mul_overflow(extent.depth - 1, layout.slice, &slices) &&
           !__builtin_mul_overflow(extent.height - 1, layout.pitch, &rows) &&
           !__builtin_add_overflow(slices, rows, &bytes) && !__builtin_add_overflow(bytes, extent.width, &bytes);
}

CUresult locate(const Layout& layout, const Extent& extent, Place& place) {
    size_t bytes = 0;
    if (!span(layout, extent, bytes)) return CUDA_ERROR_INVALID_VALUE;
    if (const Allocation* allocation = find_allocation(layout.address)) {
        if (!allocation->alive.load(std::memory_order_acquire))
            return refuse(layout.address, "memory used after it was freed");
        if (!allocation->accessible.load(std::memory_order_acquire))
            return refuse(layout.address, "reserved addresses used without memory or access");
        const uint64_t end =
            allocation->base.load(std::memory_order_relaxed) + allocation->size.load(std::memory_order_relaxed);
        if (layout.address > end || bytes > end - layout.address)
            return refuse(layout.address, "access past the end of an allocation");
        place.bytes = bytes_at(layout.address);
        place.device = allocation->kind.load(std::memory_order_relaxed) != MemoryKind::pinned;
        return CUDA_SUCCESS;
    }
    if (is_device_address(layout.address)) return refuse(layout.address, "no memory is allocated here");
    uint64_t base = 0;
    uint64_t size = 0;
    const bool registered = registered_host(layout.address, base, size);
    if (layout.type == CU_MEMORYTYPE_DEVICE && !registered) return refuse(layout.address, "not a device address");
    if (layout.address == 0) return CUDA_ERROR_INVALID_VALUE;
    place.bytes = reinterpret_cast<std::byte*>(layout.address);
    place.pageable = !registered || layout.address + bytes > base + size;
    return CUDA_SUCCESS;
}

bool sensible(const Layout& layout, const Extent& extent) {
    const bool rows = extent.height <= 1 || layout.pitch >= extent.width;
    const bool slices = extent.depth <= 1 || layout.slice >= layout.pitch * extent.height;
    return rows && slices && layout.type != CU_MEMORYTYPE_ARRAY;
}

// memmove: the areas may overlap, and what happens then must not depend on the compiler.
void move_rows(std::byte* to, const std::byte* from, const Layout& to_layout, const Layout& from_layout,
               const Extent& extent) {
    for (size_t z = 0; z < extent.depth; ++z) {
        std::byte* to_row = to + z * to_layout.slice;
        const std::byte* from_row = from + z * from_layout.slice;
        if (to_layout.pitch == extent.width && from_layout.pitch == extent.width) {
            std::memmove(to_row, from_row, extent.width * extent.height);
            continue;
        }
        for (size_t y = 0; y < extent.height; ++y)
            std::memmove(to_row + y * to_layout.pitch, from_row + y * from_layout.pitch, extent.width);
    }
}

// Pageable memory is read before the call returns, into a buffer of the driver's own.
std::shared_ptr<std::vector<std::byte>> staged(const Place& from, const Layout& layout, const Extent& extent) {
    size_t size = 0;
    span(layout, extent, size);
    return std::make_shared<std::vector<std::byte>>(from.bytes, from.bytes + size);
}

struct Transfer {
    Layout to_layout, from_layout;
    Extent extent;
    Place to, from;
};

void copy_later(Stream& stream, Context& context, const Transfer& job, bool host_waits) {
    std::shared_ptr<std::vector<std::byte>> buffer;
    if (job.from.pageable) buffer = staged(job.from, job.from_layout, job.extent);
    const Point point = submit(stream, context, [job, buffer] {
        const std::byte* from = buffer ? buffer->data() : job.from.bytes;
        move_rows(job.to.bytes, from, job.to_layout, job.from_layout, job.extent);
    });
    const bool on_device = job.to.device && job.from.device;
    if (job.to.pageable || (host_waits && !on_device)) wait_for(point);
}

template <typename T>
void fill_row(std::byte* row, uint32_t value, size_t width) {
    const T narrow = static_cast<T>(value);
    for (size_t x = 0; x + sizeof(T) <= width; x += sizeof(T)) std::memcpy(row + x, &narrow, sizeof narrow);
}

void fill_rows(std::byte* to, uint32_t value, size_t value_size, size_t pitch, const Extent& extent) {
    for (size_t y = 0; y < extent.height; ++y) {
        std::byte* row = to + y * pitch;
        if (value_size == 1)
            std::memset(row, static_cast<int>(value & 0xFF), extent.width);
        else if (value_size == 2)
            fill_row<uint16_t>(row, value, extent.width);
        else
            fill_row<uint32_t>(row, value, extent.width);
    }
}

}  // namespace

CUresult copy(const Layout& to, const Layout& from, const Extent& extent, CUstream handle, bool host_waits) {
    CUresult status = CUDA_SUCCESS;
    Context* context = working_context(status);
    if (context == nullptr) return status;
    Stream* stream = nullptr;
    if (!resolve_stream(handle, *context, stream)) return CUDA_ERROR_INVALID_HANDLE;
    if (extent.width == 0 || extent.height == 0 || extent.depth == 0) return CUDA_SUCCESS;
    if (!sensible(to, extent) || !sensible(from, extent)) return CUDA_ERROR_INVALID_VALUE;
    Place target;
    Place source;
    status = locate(to, extent, target);
    if (status == CUDA_SUCCESS) status = locate(from, extent, source);
    if (status != CUDA_SUCCESS) return status;
    if (!machine().copy.load(std::memory_order_relaxed)) return CUDA_SUCCESS;
    if (works_at_once(stream))
        do_at_once(stream, *context, [&] { move_rows(target.bytes, source.bytes, to, from, extent); });
    else
        copy_later(*stream, *context, {to, from, extent, target, source}, host_waits);
    return CUDA_SUCCESS;
}

CUresult fill(const Layout& to, uint32_t value, size_t value_size, const Extent& extent, CUstream handle) {
    CUresult status = CUDA_SUCCESS;
    Context* context = working_context(status);
    if (context == nullptr) return status;
    Stream* stream = nullptr;
    if (!resolve_stream(handle, *context, stream)) return CUDA_ERROR_INVALID_HANDLE;
    if (!is_default_stream(handle) && handle->context != context) {
        instrument::violation(name_of(handle, "stream"), "a fill in a stream of another context");
        return CUDA_ERROR_INVALID_HANDLE;
    }
    if (extent.width == 0 || extent.height == 0) return CUDA_SUCCESS;
    if (!sensible(to, extent) || to.address % value_size != 0) return CUDA_ERROR_INVALID_VALUE;
    Place place;
    status = locate(to, extent, place);
    if (status != CUDA_SUCCESS) return status;
    if (!machine().copy.load(std::memory_order_relaxed)) return CUDA_SUCCESS;
    const auto work = [=, pitch = to.pitch] { fill_rows(place.bytes, value, value_size, pitch, extent); };
    if (works_at_once(stream))
        do_at_once(stream, *context, work);
    else
        submit(*stream, *context, work);
    return CUDA_SUCCESS;
}

}  // namespace nvsim::cuda
