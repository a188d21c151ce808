// Settings from the dict that the Python layer makes of an EncoderConfig, which has checked them already.
#pragma once

#include <pybind11/pybind11.h>

#include <optional>
#include <vector>

#include "abi/encode_api.hpp"
#include "session/session.hpp"

namespace pdum::nvenc {

// One change for each item. Throws invalid_config for an unknown name or a value of the wrong kind.
std::vector<Change> changes_from_python(const pybind11::dict& items);

Settings settings_from_python(const pybind11::dict& items);

// What a PictureOptions, or None, says about its type and about long-term references, of which the encoder has so many
// slots.
void read_references(const pybind11::handle& picture, uint32_t slots, bool manual_types, PictureExtras& extras);

// What FilmGrain.native() gives, or None.
std::optional<FilmGrain> film_grain_from_python(const pybind11::handle& grain);

// "frame", "top", "bottom" or None.
std::optional<Structure> structure_from_python(const pybind11::handle& name);

// The hints of a PictureOptions, or None, for pictures of that size and an encoder that takes so many for each block.
std::optional<HintVectors> hints_from_python(const pybind11::object& picture, const char* codec, uint32_t width,
                                             uint32_t height, uint32_t per_block);

// A sequence of (type, payload).
std::vector<Message> messages_from_python(const pybind11::handle& items);

}  // namespace pdum::nvenc
