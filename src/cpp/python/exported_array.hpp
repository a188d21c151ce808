// Memory of ours that others see as an array: the CUDA array interface and DLPack.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "abi/pixel_format.hpp"
#include "cuda/cuda_types.hpp"

namespace pdum::nvenc {

struct DeviceArray {
    CUdeviceptr address = 0;
    size_t pitch = 0;
    pybind11::tuple shape;
    const FormatTraits* format = nullptr;
    int gpu = 0;
};

// The shape of a frame for encode().
pybind11::tuple frame_shape(const FormatTraits& format, uint32_t width, uint32_t height);

pybind11::dict array_interface(const DeviceArray& array, const pybind11::object& stream, bool read_only);

// What a consumer has asked __dlpack__ for.
struct DlpackRequest {
    struct Arguments {
        const pybind11::object& stream;
        const pybind11::object& max_version;
        const pybind11::object& dl_device;
        const pybind11::object& copy;
    };

    CUstream stream = nullptr;    // the legacy default stream if the consumer named none
    bool wants_no_order = false;  // the consumer has asked for no synchronisation
    bool is_versioned = false;

    // Throws Python's BufferError for what cannot be met.
    static DlpackRequest checked(const Arguments& given, const pybind11::tuple& own_device);
};

// The tensor keeps `memory` and `object` until its consumer deletes it, in any thread. `memory` goes first, without the
// GIL.
pybind11::capsule export_tensor(const DeviceArray& array, std::shared_ptr<const void> memory,
                                const pybind11::object& object, const DlpackRequest& request);

}  // namespace pdum::nvenc
