// The memory layout of DLPack, the exchange format of tensors, declared by us as its specification gives it.
#pragma once

#include <cstdint>

namespace pdum::nvenc::dlpack {

constexpr int32_t device_cpu = 1;
constexpr int32_t device_cuda = 2;
constexpr int32_t device_cuda_host = 3;
constexpr int32_t device_cuda_managed = 13;

constexpr uint8_t type_unsigned = 1;
constexpr uint8_t type_float = 2;

struct Device {
    int32_t type;
    int32_t id;
};

struct DataType {
    uint8_t code;
    uint8_t bits;
    uint16_t lanes;
};

struct Tensor {
    void* data;
    Device device;
    int32_t dimensions;
    DataType type;
    const int64_t* shape;
    const int64_t* strides;  // in elements; null: packed
    uint64_t byte_offset;
};
static_assert(sizeof(Tensor) == 48);

// In a capsule named "dltensor", or "used_dltensor" once a consumer has taken it.
struct Managed {
    static constexpr const char* capsule_name = "dltensor";

    Tensor tensor;
    void* context;
    void (*deleter)(Managed*);
};

// In a capsule named "dltensor_versioned", from version 1.0 on.
struct ManagedVersioned {
    static constexpr const char* capsule_name = "dltensor_versioned";

    uint32_t major;
    uint32_t minor;
    void* context;
    void (*deleter)(ManagedVersioned*);
    uint64_t flags;
    Tensor tensor;
};

}  // namespace pdum::nvenc::dlpack
