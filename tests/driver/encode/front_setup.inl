// Starting and changing the encoder. Included by front.inl, inside its namespace.

// The session has no codec before this call.
auto shown_setup(const NV_ENC_INITIALIZE_PARAMS* params) {
    return [params](Fields& out, Codec codec) {
        if (params != nullptr) describe(out, *params, codec_of(name_of(params->encodeGUID)).value_or(codec));
    };
}

void check_maximum(const NV_ENC_INITIALIZE_PARAMS& params) {
    const auto below = [](uint32_t most, uint32_t size) { return most != 0 && most < size; };
    if (below(params.maxEncodeWidth, params.encodeWidth) || below(params.maxEncodeHeight, params.encodeHeight))
        refuse(recorded::initialize_maximum_below,
               text("maxEncodeWidth x maxEncodeHeight, ", params.maxEncodeWidth, "x", params.maxEncodeHeight,
                    ", is less than the size to encode"));
}

NVENCSTATUS initialize_encoder(void* encoder, NV_ENC_INITIALIZE_PARAMS* params) {
    static CallSite site("nvEncInitializeEncoder");
    return call(
        site, encoder, Purpose::work,
        [&](Session& session, Lock&) {
            const EncoderSetup setup = setup_of(session, need(params, "createEncodeParams"));
            check_maximum(*params);
            session.initialize(setup);
            return Status::success;
        },
        shown_setup(params));
}

NVENCSTATUS reconfigure_encoder(void* encoder, NV_ENC_RECONFIGURE_PARAMS* params) {
    static CallSite site("nvEncReconfigureEncoder");
    return call(
        site, encoder, Purpose::work,
        [&](Session& session, Lock&) {
            check_version(need(params, "reInitEncodeParams").version, NV_ENC_RECONFIGURE_PARAMS_VER,
                          "NV_ENC_RECONFIGURE_PARAMS");
            check_reserved(*params, session.codec());
            session.reconfigure(setup_of(session, params->reInitEncodeParams), params->resetEncoder != 0,
                                params->forceIDR != 0);
            return Status::success;
        },
        shown(params));
}

void hand_out_headers(const std::vector<uint8_t>& headers, NV_ENC_SEQUENCE_PARAM_PAYLOAD* payload) {
    check_version(need(payload, "sequenceParamPayload").version, NV_ENC_SEQUENCE_PARAM_PAYLOAD_VER,
                  "NV_ENC_SEQUENCE_PARAM_PAYLOAD");
    check_reserved(*payload, Codec::h264);
    if (payload->inBufferSize < headers.size())
        refuse(recorded::headers_small, text("the parameter sets need ", headers.size(), " bytes"));
    if (payload->spsppsBuffer == nullptr) violate(recorded::headers_null_buffer, "spsppsBuffer is null");
    std::memcpy(payload->spsppsBuffer, headers.data(), headers.size());
    need(payload->outSPSPPSPayloadSize, "outSPSPPSPayloadSize") = static_cast<uint32_t>(headers.size());
}

auto shown_headers(const NV_ENC_SEQUENCE_PARAM_PAYLOAD* payload) {
    return [payload](Fields& out, Codec codec) {
        if (payload == nullptr) return;
        describe(out, *payload, codec);
        if (payload->outSPSPPSPayloadSize != nullptr) out.number("size", *payload->outSPSPPSPayloadSize);
    };
}

NVENCSTATUS get_sequence_params(void* encoder, NV_ENC_SEQUENCE_PARAM_PAYLOAD* payload) {
    static CallSite site("nvEncGetSequenceParams");
    return call(
        site, encoder, Purpose::work,
        [&](Session& session, Lock&) {
            hand_out_headers(session.headers(), payload);
            return Status::success;
        },
        shown_headers(payload));
}

NVENCSTATUS get_sequence_param_ex(void* encoder, NV_ENC_INITIALIZE_PARAMS* params,
                                  NV_ENC_SEQUENCE_PARAM_PAYLOAD* payload) {
    static CallSite site("nvEncGetSequenceParamEx");
    return call(
        site, encoder, Purpose::work,
        [&](Session& session, Lock&) {
            const EncoderSetup setup = setup_of(session, need(params, "encInitParams"));
            hand_out_headers(parameter_sets(setup.settings.stream), payload);
            return Status::success;
        },
        shown_headers(payload));
}

NVENCSTATUS set_io_cuda_streams(void* encoder, NV_ENC_CUSTREAM_PTR input, NV_ENC_CUSTREAM_PTR output) {
    static CallSite site("nvEncSetIOCudaStreams");
    return call(
        site, encoder, Purpose::work,
        [&](Session& session, Lock&) {
            // Pointers to streams, not streams.
            session.set_streams(need(static_cast<cu::Stream*>(input), "inputStream"),
                                need(static_cast<cu::Stream*>(output), "outputStream"));
            return Status::success;
        },
        [&](Fields& out, Codec) {
            if (input != nullptr) out.address("inputStream", *static_cast<void**>(input));
            if (output != nullptr) out.address("outputStream", *static_cast<void**>(output));
        });
}
