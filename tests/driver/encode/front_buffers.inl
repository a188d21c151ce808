// Buffers and resources. Included by front.inl, inside its namespace.

NVENCSTATUS create_input_buffer(void* encoder, NV_ENC_CREATE_INPUT_BUFFER* params) {
    static CallSite site("nvEncCreateInputBuffer");
    return call(
        site, encoder, Purpose::work,
        [&](Session& session, Lock&) {
            check_version(need(params, "createInputBufferParams").version, NV_ENC_CREATE_INPUT_BUFFER_VER,
                          "NV_ENC_CREATE_INPUT_BUFFER");
            check_reserved(*params, session.codec());
            params->inputBuffer =
                session.create_input(params->width, params->height, static_cast<uint32_t>(params->bufferFmt));
            return Status::success;
        },
        shown(params));
}

NVENCSTATUS destroy_input_buffer(void* encoder, NV_ENC_INPUT_PTR buffer) {
    static CallSite site("nvEncDestroyInputBuffer");
    return call(
        site, encoder, Purpose::release,
        [&](Session& session, Lock&) {
            session.destroy_input(buffer);
            return Status::success;
        },
        shown("inputBuffer", buffer));
}

NVENCSTATUS create_bitstream_buffer(void* encoder, NV_ENC_CREATE_BITSTREAM_BUFFER* params) {
    static CallSite site("nvEncCreateBitstreamBuffer");
    return call(
        site, encoder, Purpose::work,
        [&](Session& session, Lock&) {
            check_version(need(params, "createBitstreamBufferParams").version, NV_ENC_CREATE_BITSTREAM_BUFFER_VER,
                          "NV_ENC_CREATE_BITSTREAM_BUFFER");
            check_reserved(*params, session.codec());
            params->bitstreamBuffer = session.create_bitstream();
            return Status::success;
        },
        shown(params));
}

NVENCSTATUS destroy_bitstream_buffer(void* encoder, NV_ENC_OUTPUT_PTR buffer) {
    static CallSite site("nvEncDestroyBitstreamBuffer");
    return call(
        site, encoder, Purpose::release,
        [&](Session& session, Lock&) {
            session.destroy_bitstream(buffer);
            return Status::success;
        },
        shown("bitstreamBuffer", buffer));
}

NVENCSTATUS create_mv_buffer(void* encoder, NV_ENC_CREATE_MV_BUFFER* params) {
    static CallSite site("nvEncCreateMVBuffer");
    return call(
        site, encoder, Purpose::work,
        [&](Session& session, Lock&) {
            check_version(need(params, "createMVBufferParams").version, NV_ENC_CREATE_MV_BUFFER_VER,
                          "NV_ENC_CREATE_MV_BUFFER");
            check_reserved(*params, session.codec());
            params->mvBuffer = session.create_vectors();
            return Status::success;
        },
        shown(params));
}

NVENCSTATUS destroy_mv_buffer(void* encoder, NV_ENC_OUTPUT_PTR buffer) {
    static CallSite site("nvEncDestroyMVBuffer");
    return call(
        site, encoder, Purpose::release,
        [&](Session& session, Lock&) {
            session.destroy_vectors(buffer);
            return Status::success;
        },
        shown("mvBuffer", buffer));
}

NVENCSTATUS lock_input_buffer(void* encoder, NV_ENC_LOCK_INPUT_BUFFER* params) {
    static CallSite site("nvEncLockInputBuffer");
    return call(
        site, encoder, Purpose::work,
        [&](Session& session, Lock&) {
            check_version(need(params, "lockInputBufferParams").version, NV_ENC_LOCK_INPUT_BUFFER_VER,
                          "NV_ENC_LOCK_INPUT_BUFFER");
            check_reserved(*params, session.codec());
            const LockedInput locked = session.lock_input(params->inputBuffer, !params->doNotWait);
            params->bufferDataPtr = locked.data;
            params->pitch = locked.pitch;
            return Status::success;
        },
        shown(params));
}

NVENCSTATUS unlock_input_buffer(void* encoder, NV_ENC_INPUT_PTR buffer) {
    static CallSite site("nvEncUnlockInputBuffer");
    return call(
        site, encoder, Purpose::release,
        [&](Session& session, Lock&) {
            session.unlock_input(buffer);
            return Status::success;
        },
        shown("inputBuffer", buffer));
}

NVENCSTATUS register_resource(void* encoder, NV_ENC_REGISTER_RESOURCE* params) {
    static CallSite site("nvEncRegisterResource");
    return call(
        site, encoder, Purpose::work,
        [&](Session& session, Lock&) {
            check_version(need(params, "registerResParams").version, NV_ENC_REGISTER_RESOURCE_VER,
                          "NV_ENC_REGISTER_RESOURCE");
            check_reserved(*params, session.codec());
            params->registeredResource = session.register_resource(
                {static_cast<Registration::Type>(params->resourceType), params->resourceToRegister, params->width,
                 params->height, params->pitch, static_cast<uint32_t>(params->bufferFormat),
                 static_cast<uint32_t>(params->bufferUsage)});
            return Status::success;
        },
        shown(params));
}

NVENCSTATUS unregister_resource(void* encoder, NV_ENC_REGISTERED_PTR resource) {
    static CallSite site("nvEncUnregisterResource");
    return call(
        site, encoder, Purpose::release,
        [&](Session& session, Lock&) {
            session.unregister_resource(resource);
            return Status::success;
        },
        shown("registeredResource", resource));
}

NVENCSTATUS map_input_resource(void* encoder, NV_ENC_MAP_INPUT_RESOURCE* params) {
    static CallSite site("nvEncMapInputResource");
    return call(
        site, encoder, Purpose::work,
        [&](Session& session, Lock&) {
            check_version(need(params, "mapInputResParams").version, NV_ENC_MAP_INPUT_RESOURCE_VER,
                          "NV_ENC_MAP_INPUT_RESOURCE");
            check_reserved(*params, session.codec());
            uint32_t format = 0;
            params->mappedResource = session.map(params->registeredResource, format);
            params->mappedBufferFmt = static_cast<NV_ENC_BUFFER_FORMAT>(format);
            return Status::success;
        },
        shown(params));
}

NVENCSTATUS unmap_input_resource(void* encoder, NV_ENC_INPUT_PTR resource) {
    static CallSite site("nvEncUnmapInputResource");
    return call(
        site, encoder, Purpose::release,
        [&](Session& session, Lock&) {
            session.unmap(resource);
            return Status::success;
        },
        shown("mappedInputBuffer", resource));
}
