#include "encode/staging.hpp"

#include <cstring>

namespace nvsim {

void StagingPool::reserve(size_t count, size_t bytes) {
    for (Staging* staging : free_) grow(*staging, bytes);
    while (all_.size() < count) {
        Staging* staging = make(bytes);
        if (staging == nullptr) return;
        free_.push_back(staging);
    }
}

Staging* StagingPool::take(size_t bytes) {
    if (free_.empty()) return make(bytes);
    Staging* staging = free_.back();
    if (!grow(*staging, bytes)) return nullptr;
    free_.pop_back();
    staging->pending = false;
    return staging;
}

Staging* StagingPool::make(size_t bytes) {
    auto staging = std::make_unique<Staging>();
    constexpr unsigned without_timing = 2;
    if (cu::calls()->event_create(&staging->read, without_timing) != 0) return nullptr;
    Staging* made = staging.get();
    all_.push_back(std::move(staging));
    return grow(*made, bytes) ? made : nullptr;
}

bool StagingPool::grow(Staging& staging, size_t bytes) {
    if (staging.capacity >= bytes) return true;
    if (staging.data != nullptr) cu::calls()->host_free(staging.data);
    void* memory = nullptr;
    staging.capacity = cu::calls()->host_alloc(&memory, bytes) == 0 ? bytes : 0;
    staging.data = static_cast<uint8_t*>(memory);
    return staging.capacity >= bytes;
}

void StagingPool::release() {
    for (auto& staging : all_) {
        if (staging->data != nullptr) cu::calls()->host_free(staging->data);
        cu::calls()->event_destroy(staging->read);
    }
    all_.clear();
    free_.clear();
}

namespace {

// CUDA arrays have no pitch: plane after plane lies in rows of the array, the chroma below the luma's rows.
bool copy_plane(const SurfaceSource& source, const Plane& plane, cu::Stream stream, uint8_t* packed) {
    cu::Copy2D copy;
    copy.src_type = source.kind == SurfaceSource::array ? cu::array : cu::device;
    if (source.kind == SurfaceSource::array) {
        copy.src_array = source.cuda_array;
        copy.src_y = plane.offset / source.pitch;
    } else {
        copy.src_device = source.pointer + plane.offset;
        copy.src_pitch = plane.pitch;
    }
    copy.dst_host = packed;
    copy.dst_pitch = plane.row_bytes;
    copy.width_bytes = plane.row_bytes;
    copy.height = plane.rows;
    return cu::calls()->copy(&copy, stream) == 0;
}

}  // namespace

bool read_surface(const SurfaceSource& source, int width, int height, cu::Stream stream, uint8_t* packed) {
    const Planes planes = planes_of(source.format, width, height, source.pitch, source.rows);
    for (int i = 0; i < planes.count; ++i) {
        const Plane& plane = planes.plane[i];
        if (source.kind == SurfaceSource::host) {
            for (size_t row = 0; row < plane.rows; ++row)
                std::memcpy(packed + row * plane.row_bytes, source.memory + plane.offset + row * plane.pitch,
                            plane.row_bytes);
        } else if (!copy_plane(source, plane, stream, packed)) {
            return false;
        }
        packed += plane.row_bytes * plane.rows;
    }
    return true;
}

bool same_as_read(const SurfaceSource& source, int width, int height, const uint8_t* packed) {
    const Planes planes = planes_of(source.format, width, height, source.pitch, source.rows);
    for (int i = 0; i < planes.count; ++i) {
        const Plane& plane = planes.plane[i];
        for (size_t row = 0; row < plane.rows; ++row, packed += plane.row_bytes)
            if (std::memcmp(packed, source.memory + plane.offset + row * plane.pitch, plane.row_bytes) != 0)
                return false;
    }
    return true;
}

}  // namespace nvsim
