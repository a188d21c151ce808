// What the functions of one API version have in common. Included by front.inl, inside its namespace.

template <typename Body, typename Describe>
NVENCSTATUS call(CallSite& site, void* encoder, Purpose purpose, Body&& body, Describe&& describe_call) {
    return static_cast<NVENCSTATUS>(session_call(site, NVSIM_API, encoder, purpose, body, describe_call));
}

template <typename Struct>
auto shown(const Struct* params) {
    return [params](Fields& out, Codec codec) {
        if (params != nullptr) describe(out, *params, codec);
    };
}

auto shown(const char* name, const void* handle) {
    return [name, handle](Fields& out, Codec) { out.address(name, handle); };
}

auto shown_count(const uint32_t* count) {
    return [count](Fields& out, Codec) {
        if (count != nullptr) out.number("count", *count);
    };
}
