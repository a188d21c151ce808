// Coded pictures as a decoder would show them, on their way into a client's buffers.
#pragma once

#include <cstdint>
#include <vector>

#include "encode/coder.hpp"
#include "encode/staging.hpp"
#include "encode/surface.hpp"

namespace nvsim {

// Whether the engine can write a reconstruction in this format.
bool is_reconstruction_format(PixelFormat format);

// Planar samples, as coders have them, packed as a picture of a format for which the above holds.
std::vector<uint8_t> from_planar(PixelFormat format, const std::vector<uint8_t>& planar, const PictureFormat& picture);

// Copies a packed picture into the visible part of device memory, and waits for that. False if the driver refuses.
bool write_surface(const SurfaceSource& target, int width, int height, const uint8_t* packed, cu::Stream stream);

}  // namespace nvsim
