// A picture's map in the memory of a Python object, on the host or on a GPU.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <optional>
#include <utility>

#include "abi/qp_map.hpp"
#include "python/held_stream.hpp"
#include "python/python_objects.hpp"
#include "session/session.hpp"

namespace pdum::nvenc {

// Reads the map of a PictureOptions (or None). Values on the host are copied at once; memory on a GPU stays alive as
// long as this does. Made and destroyed with the GIL held.
class BorrowedMap {
   public:
    // `mode` is what the encoder was made with. Throws invalid_config.
    BorrowedMap(const pybind11::object& picture, const char* codec, std::optional<MapMode> mode,
                const std::shared_ptr<Session>& session);

    std::optional<PictureMap> take() { return std::move(map_); }

   private:
    void read_array(PyObject* object, MapArray& array);
    bool read_cuda_array(PyObject* object, MapArray& array);
    bool read_dlpack(PyObject* object, MapArray& array);

    const std::shared_ptr<Session>& session_;
    std::optional<PictureMap> map_;
    PyRef memory_;
    std::optional<HeldStream> stream_;  // the stream on which a producer was asked to make the values ready
};

}  // namespace pdum::nvenc
