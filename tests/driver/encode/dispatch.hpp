// What every call of every API version goes through: finding the session, answering refusals, counting and tracing.
#pragma once

#include <mutex>
#include <string>

#include "common/instrument.hpp"
#include "encode/fields.hpp"
#include "encode/machine.hpp"
#include "encode/session.hpp"
#include "encode/status.hpp"

namespace nvsim {

using Lock = std::unique_lock<std::mutex>;

// Calls that give something back do it even on a lost device. What an injected fault keeps them, or the end of the
// stream, from doing is not held against the client.
enum class Purpose { work, end, release, destroy };

struct CallContext {
    uint64_t session = 0;
    Codec codec = Codec::h264;
    bool ran = false;
};

// Answers a refusal and remembers its text for nvEncGetLastErrorString.
Status answer(Session* session, const Refusal& refusal);
// The text of the last refusal that had no session to keep it.
const char* last_error_without_session();

// Locks the session's cell. Throws Refusal for a handle that leads nowhere.
Session& find_session(void* handle, Lock& lock);

// Fills the context of a call that was made to fail.
void look_up(void* handle, CallContext& context);

// After an injected fault of a call on a session.
void note_fault(void* handle, Purpose purpose);
void destroy_session(void* handle, Lock& lock);

template <typename Body>
Status in_session(void* handle, Purpose purpose, CallContext& context, Body&& body) {
    Lock lock;
    Session* session = nullptr;
    context.ran = true;
    try {
        session = &find_session(handle, lock);
        context.session = session->number();
        context.codec = session->codec();
        const bool lost = session->device().lost.load(std::memory_order_relaxed);
        if (lost && purpose <= Purpose::end) refuse(Status::device_not_exist, "the device is lost");
        const Status status = body(*session, lock);
        return lost ? Status::device_not_exist : status;
    } catch (const Refusal& refusal) {
        if (lock.owns_lock()) return answer(session, refusal);
        return answer(nullptr, refusal);
    }
}

// One call on a session. `describe` writes the call's arguments for the trace.
template <typename Body, typename Describe>
Status session_call(CallSite& site, const char* api, void* handle, Purpose purpose, Body&& body, Describe&& describe) {
    CallContext context;
    const Status status = observed(
        site, [&] { return in_session(handle, purpose, context, body); },
        [&] {
            if (!context.ran) look_up(handle, context);
            Fields out;
            describe(out, context.codec);
            return CallDetails{api, context.session, out.finish()};
        });
    if (!context.ran) note_fault(handle, purpose);
    return status;
}

}  // namespace nvsim
