#include "python/packet_binding.hpp"

#include "python/reconstructed_frame.hpp"

#include <structmember.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <new>
#include <numeric>

namespace py = pybind11;

namespace pdum::nvenc {
namespace {

struct PacketObject {
    PyObject_HEAD PyObject* seq;
    PyObject* data;
    PyObject* keyframe;
    PyObject* pic_type;
    PyObject* released;
    PyObject* statistics;
    PyObject* reconstruction;
    long long pts;
    long long dts;
    unsigned frame_avg_qp;
    unsigned temporal_layer;
};

constexpr std::array<const char*, 9> type_names{"P",        "B",      "I",      "IDR", "skipped", "intra_refresh",
                                                "nonref_P", "switch", "unknown"};

// Made once and shared by all packets.
std::array<PyObject*, type_names.size()>& interned_type_names() {
    static std::array<PyObject*, type_names.size()> names{};
    return names;
}

PyTypeObject* packet_type = nullptr;

PacketObject* self_of(PyObject* object) { return reinterpret_cast<PacketObject*>(object); }

// None if there are none.
PyRef statistics_of(const AccessUnit& unit) {
    if (unit.statistics == nullptr) return PyRef(Py_NewRef(Py_None));
    return PyRef(py::cast(unit.statistics).release().ptr());
}

PyRef reconstruction_of(const AccessUnit& unit) {
    if (unit.reconstruction == nullptr) return PyRef(Py_NewRef(Py_None));
    return PyRef(reconstructed_frame(unit.reconstruction).release().ptr());
}

PyObject* new_packet(const AccessUnit& unit, const PyRef& bytes, const PyRef& released) {
    PyRef seq(PyLong_FromLongLong(unit.seq));
    if (seq == nullptr) return nullptr;
    PyRef statistics = statistics_of(unit);
    PyRef reconstruction = reconstruction_of(unit);
    auto* packet = PyObject_GC_New(PacketObject, packet_type);
    if (packet == nullptr) return nullptr;
    packet->seq = seq.release();
    packet->data = Py_NewRef(bytes.get());
    packet->keyframe = Py_NewRef(unit.type == PictureType::idr ? Py_True : Py_False);
    packet->pic_type = Py_NewRef(interned_type_names()[static_cast<size_t>(unit.type)]);
    packet->released = Py_NewRef(released != nullptr ? released.get() : Py_None);
    packet->statistics = statistics.release();
    packet->reconstruction = reconstruction.release();
    packet->pts = unit.pts;
    packet->dts = unit.dts;
    packet->frame_avg_qp = unit.average_qp;
    packet->temporal_layer = unit.temporal_layer;
    PyObject_GC_Track(packet);
    return reinterpret_cast<PyObject*>(packet);
}

PyObject* construct(PyTypeObject* type, PyObject* arguments, PyObject* keywords) {
    static const char* names[] = {"seq",      "data",         "keyframe",       "pts",        "dts",
                                  "pic_type", "frame_avg_qp", "temporal_layer", "statistics", nullptr};
    PyObject* seq = nullptr;
    PyObject* data = nullptr;
    PyObject* pic_type = nullptr;
    PyObject* statistics = Py_None;
    int keyframe = 0;
    long long pts = 0;
    long long dts = 0;
    unsigned qp = 0;
    unsigned layer = 0;
    if (PyArg_ParseTupleAndKeywords(arguments, keywords, "O!Sp|LLUIIO:Packet", const_cast<char**>(names), &PyLong_Type,
                                    &seq, &data, &keyframe, &pts, &dts, &pic_type, &qp, &layer, &statistics) == 0) {
        return nullptr;
    }
    auto* packet = PyObject_GC_New(PacketObject, type);
    if (packet == nullptr) return nullptr;
    packet->seq = Py_NewRef(seq);
    packet->data = Py_NewRef(data);
    packet->keyframe = Py_NewRef(keyframe != 0 ? Py_True : Py_False);
    packet->pic_type = Py_NewRef(pic_type != nullptr ? pic_type : interned_type_names().back());
    packet->pts = pts;
    packet->dts = dts;
    packet->released = Py_NewRef(Py_None);
    packet->statistics = Py_NewRef(statistics);
    packet->reconstruction = Py_NewRef(Py_None);
    packet->frame_avg_qp = qp;
    packet->temporal_layer = layer;
    PyObject_GC_Track(packet);
    return reinterpret_cast<PyObject*>(packet);
}

void destroy(PyObject* object) {
    PacketObject* packet = self_of(object);
    PyTypeObject* type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    Py_XDECREF(packet->released);
    Py_XDECREF(packet->statistics);
    Py_XDECREF(packet->reconstruction);
    Py_XDECREF(packet->seq);
    Py_XDECREF(packet->data);
    Py_XDECREF(packet->keyframe);
    Py_XDECREF(packet->pic_type);
    PyObject_GC_Del(object);
    Py_DECREF(type);
}

// Of its members, only these can be part of a cycle.
int traverse(PyObject* object, visitproc visit, void* arg) {
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self_of(object)->released);
    Py_VISIT(self_of(object)->statistics);
    Py_VISIT(self_of(object)->reconstruction);
    return 0;
}

int clear(PyObject* object) {
    Py_CLEAR(self_of(object)->released);
    Py_CLEAR(self_of(object)->statistics);
    Py_CLEAR(self_of(object)->reconstruction);
    return 0;
}

PyObject* as_tuple(PyObject* object) {
    const PacketObject* packet = self_of(object);
    return PyTuple_Pack(3, packet->seq, packet->data, packet->keyframe);
}

PyObject* iterate(PyObject* object) {
    const PyRef tuple(as_tuple(object));
    return tuple != nullptr ? PyObject_GetIter(tuple.get()) : nullptr;
}

Py_ssize_t length(PyObject*) { return 3; }

PyObject* item(PyObject* object, Py_ssize_t index) {
    const PacketObject* packet = self_of(object);
    switch (index) {
        case 0: return Py_NewRef(packet->seq);
        case 1: return Py_NewRef(packet->data);
        case 2: return Py_NewRef(packet->keyframe);
        default: PyErr_SetString(PyExc_IndexError, "a packet has 3 items: seq, data and keyframe"); return nullptr;
    }
}

PyObject* represent(PyObject* object) {
    const PacketObject* packet = self_of(object);
    return PyUnicode_FromFormat("Packet(seq=%S, %zd bytes, pic_type=%R, keyframe=%R, pts=%lld, dts=%lld)", packet->seq,
                                PyBytes_GET_SIZE(packet->data), packet->pic_type, packet->keyframe, packet->pts,
                                packet->dts);
}

PyObject* everything(PyObject* object) {
    const PacketObject* packet = self_of(object);
    return Py_BuildValue("(OOOLLOII)", packet->seq, packet->data, packet->keyframe, packet->pts, packet->dts,
                         packet->pic_type, packet->frame_avg_qp, packet->temporal_layer);
}

PyObject* reduce(PyObject* object, PyObject*) {
    const PacketObject* packet = self_of(object);
    PyObject* state =
        Py_BuildValue("(OOOLLOIIO)", packet->seq, packet->data, packet->keyframe, packet->pts, packet->dts,
                      packet->pic_type, packet->frame_avg_qp, packet->temporal_layer, packet->statistics);
    return state != nullptr ? Py_BuildValue("(ON)", Py_TYPE(object), state) : nullptr;
}

PyObject* compare(PyObject* left, PyObject* right, int operation) {
    if (Py_TYPE(left) != Py_TYPE(right)) Py_RETURN_NOTIMPLEMENTED;
    const PyRef a(everything(left));
    const PyRef b(everything(right));
    if (a == nullptr || b == nullptr) return nullptr;
    if (operation != Py_EQ && operation != Py_NE) Py_RETURN_NOTIMPLEMENTED;
    return PyObject_RichCompare(a.get(), b.get(), operation);
}

Py_hash_t hash(PyObject* object) {
    const PyRef state(everything(object));
    return state != nullptr ? PyObject_Hash(state.get()) : -1;
}

// The bytes of the access unit, read-only and without a copy.
int get_buffer(PyObject* object, Py_buffer* view, int flags) {
    PyObject* data = self_of(object)->data;
    return PyBuffer_FillInfo(view, object, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), 1, flags);
}

constexpr const char* packet_doc =
    "Packet(seq, data, keyframe, pts=0, dts=0, pic_type='unknown', frame_avg_qp=0, temporal_layer=0, "
    "statistics=None)\n--\n\n"
    "One access unit. It unpacks as ``seq, data, keyframe`` and supports the buffer protocol.";

PyMemberDef members[] = {
    {"seq", T_OBJECT_EX, offsetof(PacketObject, seq), READONLY, "The number given with the frame that it encodes."},
    {"data", T_OBJECT_EX, offsetof(PacketObject, data), READONLY, "The bitstream: Annex B, or AV1 OBUs."},
    {"keyframe", T_OBJECT_EX, offsetof(PacketObject, keyframe), READONLY, "Whether decoding can start here (IDR)."},
    {"pts", T_LONGLONG, offsetof(PacketObject, pts), READONLY,
     "The frame's place in the order of submission, from 0; in units of 1/fps."},
    {"dts", T_LONGLONG, offsetof(PacketObject, dts), READONLY,
     "When to decode it, never above pts; one more a packet."},
    {"pic_type", T_OBJECT_EX, offsetof(PacketObject, pic_type), READONLY,
     "'IDR', 'I', 'P', 'B', 'nonref_P', 'intra_refresh', 'skipped', 'switch' or 'unknown'."},
    {"frame_avg_qp", T_UINT, offsetof(PacketObject, frame_avg_qp), READONLY, "The picture's mean quantiser."},
    {"temporal_layer", T_UINT, offsetof(PacketObject, temporal_layer), READONLY,
     "The picture's layer if the encoder has ``layers``, from 0: no other layer is needed to decode that one."},
    {"released", T_OBJECT, offsetof(PacketObject, released), READONLY,
     "The frame that was read in place and may be written again now; None if it was copied."},
    {"statistics", T_OBJECT, offsetof(PacketObject, statistics), READONLY,
     "What the encoder counted (``PictureStatistics``); None unless the encoder's ``statistics`` asks for it."},
    {"reconstruction", T_OBJECT, offsetof(PacketObject, reconstruction), READONLY,
     "The picture as a decoder will show it (``ReconstructedFrame``); None unless the encoder's ``reconstruction`` is "
     "on."},
    {nullptr, 0, 0, 0, nullptr},
};

PyMethodDef methods[] = {
    {"__reduce__", reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot slots[] = {
    {Py_tp_doc, const_cast<char*>(packet_doc)},
    {Py_tp_new, reinterpret_cast<void*>(construct)},
    {Py_tp_dealloc, reinterpret_cast<void*>(destroy)},
    {Py_tp_traverse, reinterpret_cast<void*>(traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(clear)},
    {Py_tp_members, members},
    {Py_tp_methods, methods},
    {Py_tp_iter, reinterpret_cast<void*>(iterate)},
    {Py_tp_repr, reinterpret_cast<void*>(represent)},
    {Py_tp_richcompare, reinterpret_cast<void*>(compare)},
    {Py_tp_hash, reinterpret_cast<void*>(hash)},
    {Py_sq_length, reinterpret_cast<void*>(length)},
    {Py_sq_item, reinterpret_cast<void*>(item)},
    {Py_bf_getbuffer, reinterpret_cast<void*>(get_buffer)},
    {0, nullptr},
};

PyType_Spec spec{"pdum.nvenc._nvenc.Packet", sizeof(PacketObject), 0,
                 Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_GC, slots};

PyObject* new_bytes(size_t size) {
    PyObject* bytes = PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(size));
    if (bytes == nullptr) {
        PyErr_Clear();
        throw std::bad_alloc();
    }
    return bytes;
}

// One more item can be added without an allocation, which could fail while a new object is held without the GIL.
template <typename Item>
void make_room(std::vector<Item>& items) {
    constexpr size_t least = 4;
    if (items.size() == items.capacity()) items.reserve(std::max(least, 2 * items.size()));
}

}  // namespace

void add_packet_type(py::module_& module) {
    for (size_t i = 0; i < type_names.size(); ++i) interned_type_names()[i] = PyUnicode_InternFromString(type_names[i]);
    PyObject* type = PyType_FromSpec(&spec);
    if (type == nullptr) throw py::error_already_set();
    packet_type = reinterpret_cast<PyTypeObject*>(type);
    module.attr("Packet") = py::handle(type);
}

PyRef PythonSink::copy(const AccessUnit& unit) {
    make_room(taken_);
    PyRef bytes;
    {
        const WithoutGil::GilTakenBack gil(*without_gil_);
        bytes.reset(new_bytes(unit.size));
    }
    std::memcpy(PyBytes_AS_STRING(bytes.get()), unit.data, unit.size);
    taken_.push_back(unit.pts);
    return bytes;
}

void PacketSink::take(const AccessUnit& unit) {
    make_room(copied_);
    copied_.push_back({unit, copy(unit), nullptr});
}

py::object PacketSink::packets() {
    py::list list(copied_.size());
    for (size_t i = 0; i < copied_.size(); ++i) {
        PyObject* packet = new_packet(copied_[i].unit, copied_[i].bytes, copied_[i].released);
        if (packet == nullptr) throw py::error_already_set();
        PyList_SET_ITEM(list.ptr(), static_cast<Py_ssize_t>(i), packet);
    }
    return list;
}

void BytesSink::take(const AccessUnit& unit) {
    make_room(parts_);
    parts_.push_back(copy(unit));
}

py::object BytesSink::bytes() {
    if (parts_.empty()) return py::bytes();
    if (parts_.size() == 1) return py::reinterpret_steal<py::object>(parts_.front().release());
    const size_t total = std::accumulate(parts_.begin(), parts_.end(), size_t{0}, [](size_t sum, const PyRef& part) {
        return sum + static_cast<size_t>(PyBytes_GET_SIZE(part.get()));
    });
    PyRef joined(new_bytes(total));
    char* destination = PyBytes_AS_STRING(joined.get());
    for (const PyRef& part : parts_) {
        const auto size = static_cast<size_t>(PyBytes_GET_SIZE(part.get()));
        std::memcpy(destination, PyBytes_AS_STRING(part.get()), size);
        destination += size;
    }
    return py::reinterpret_steal<py::object>(joined.release());
}

}  // namespace pdum::nvenc
