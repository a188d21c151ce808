// Copies and fills: what is checked of their addresses, and when they happen.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/api.hpp"

namespace nvsim::cuda {

// Rows of bytes, pitch bytes apart, in slices, slice bytes apart.
struct Layout {
    uint64_t address = 0;
    CUmemorytype type = CU_MEMORYTYPE_UNIFIED;
    size_t pitch = 0;
    size_t slice = 0;
};

struct Extent {
    size_t width = 0;  // bytes
    size_t height = 1;
    size_t depth = 1;
};

// In the order of `stream`; `host_waits` for the calls without Async in their name.
CUresult copy(const Layout& to, const Layout& from, const Extent& extent, CUstream stream, bool host_waits);

// Fills `extent` (its width a multiple of the value's size) with a value of 1, 2 or 4 bytes.
CUresult fill(const Layout& to, uint32_t value, size_t value_size, const Extent& extent, CUstream stream);

}  // namespace nvsim::cuda
