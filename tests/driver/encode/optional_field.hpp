// Fields that only some API versions have. A field that is not there reads as a value given, and takes no write.
#pragma once

#include <cstdint>
#include <type_traits>

namespace nvsim {

template <typename Object, typename Read, typename Value>
Value get_optional(const Object& object, Read read, Value otherwise) {
    if constexpr (std::is_invocable_v<Read, const Object&>)
        return static_cast<Value>(read(object));
    else
        return otherwise;
}

template <typename Object, typename Write>
void set_optional(Object& object, Write write) {
    if constexpr (std::is_invocable_v<Write, Object&>) write(object);
}

#define NVSIM_GET(object, field, otherwise) \
    ::nvsim::get_optional(object, [](const auto& o) -> decltype(+o.field) { return +o.field; }, otherwise)

#define NVSIM_SET(object, field, value) \
    ::nvsim::set_optional(              \
        object, [&](auto& o) -> decltype(void(o.field)) { o.field = static_cast<decltype(o.field)>(value); })

}  // namespace nvsim
