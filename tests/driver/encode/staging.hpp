// Host memory into which pictures are read, page-locked so that the device copies into it by itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/cuda_calls.hpp"
#include "encode/surface.hpp"

namespace nvsim {

struct Staging {
    uint8_t* data = nullptr;
    size_t capacity = 0;
    cu::Event read = nullptr;  // recorded after the copy
    bool pending = false;      // the copy is a device's, so `read` has to be waited for
};

// Every method but give() is called with the session's context current.
class StagingPool {
   public:
    // Memory is made ahead if the caller can tell what will be needed: making it in the middle of a stream's work
    // may make the host wait for the device.
    void reserve(size_t count, size_t bytes);
    Staging* take(size_t bytes);  // null if memory cannot be had
    void give(Staging* staging) { free_.push_back(staging); }
    void release();
    size_t size() const { return all_.size(); }

   private:
    bool grow(Staging& staging, size_t bytes);
    Staging* make(size_t bytes);

    std::vector<std::unique_ptr<Staging>> all_;
    std::vector<Staging*> free_;
};

// What a picture is read from.
struct SurfaceSource {
    enum Kind { host, device, array } kind = host;
    const uint8_t* memory = nullptr;  // host
    cu::DevicePtr pointer = 0;        // device
    void* cuda_array = nullptr;       // array
    PixelFormat format = PixelFormat::undefined;
    size_t pitch = 0;
    size_t rows = 0;  // of the surface: chroma lies below so many rows
};

// Copies the visible part, packed, on `stream`; for host memory at once. False if the driver refuses.
bool read_surface(const SurfaceSource& source, int width, int height, cu::Stream stream, uint8_t* packed);

// Whether host memory still holds what was read.
bool same_as_read(const SurfaceSource& source, int width, int height, const uint8_t* packed);

}  // namespace nvsim
