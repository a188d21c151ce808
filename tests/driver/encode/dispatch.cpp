#include "encode/dispatch.hpp"

#include "common/text.hpp"
#include "recordings/statuses.hpp"

namespace nvsim {

namespace {

thread_local std::string homeless_error;

bool is_current(const Cell& cell, const void* handle) {
    return cell.session != nullptr && (cell.generation & 0xfffff) == Handle::decode(handle).generation;
}

}  // namespace

Status answer(Session* session, const Refusal& refusal) {
    (session != nullptr ? session->last_error : homeless_error) = refusal.message;
    if (refusal.violation) instrument::violation(session != nullptr ? session->name() : "no session", refusal.message);
    return refusal.status;
}

const char* last_error_without_session() { return homeless_error.c_str(); }

Session& find_session(void* handle, Lock& lock) {
    if (handle == nullptr) violate(recorded::null_session, "the encoder handle is null");
    Cell* cell = Machine::instance().find(handle);
    if (cell == nullptr) violate(Status::invalid_encoder_device, hex(handle) + " never was an encoder's handle");
    lock = Lock(cell->mutex);
    if (is_current(*cell, handle) && !cell->session->closing()) return *cell->session;
    const bool excused = cell->last_destroy_faulted;
    lock.unlock();
    const std::string message = text("the encoder ", hex(handle), " has been destroyed");
    if (excused) refuse(Status::invalid_encoder_device, message);
    violate(Status::invalid_encoder_device, message);
}

void destroy_session(void* handle, Lock& lock) {
    Cell& cell = *Machine::instance().find(handle);
    cell.session->destroy(lock);
    cell.last_destroy_faulted = false;
    Machine::instance().close(cell);
}

void look_up(void* handle, CallContext& context) {
    Cell* cell = Machine::instance().find(handle);
    if (cell == nullptr) return;
    const Lock lock(cell->mutex);
    if (!is_current(*cell, handle)) return;
    context.session = cell->session->number();
    context.codec = cell->session->codec();
}

void note_fault(void* handle, Purpose purpose) {
    try {
        Lock lock;
        Session& session = find_session(handle, lock);
        session.last_error = "a fault injected by the simulated driver's configuration";
        if (purpose != Purpose::work) session.release_faulted = true;
        if (purpose != Purpose::destroy) return;
        destroy_session(handle, lock);
        Machine::instance().find(handle)->last_destroy_faulted = true;
    } catch (const Refusal&) {
        // The handle led nowhere anyway.
    }
}

}  // namespace nvsim
