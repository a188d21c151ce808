// Iterative encoding and external lookahead: what a client must not ask of them. The rules
// are those of NVENC's programming guide. Included by front.inl, inside its namespace.

// Their names are not in every version.
uint32_t state_buffers(const NV_ENC_INITIALIZE_PARAMS& params) { return NVSIM_GET(params, numStateBuffers, 0u); }

bool looks_ahead_outside(const NV_ENC_RC_PARAMS& rates) { return NVSIM_GET(rates, enableExtLookahead, 0) != 0; }

void check_trials(const NV_ENC_INITIALIZE_PARAMS& params, const NV_ENC_CONFIG& config, Codec codec) {
    const auto forbid_if = [](bool is_so, const std::string& what) {
        if (is_so) forbid(Status::success, Status::invalid_param, what);
    };
    const uint32_t states = state_buffers(params), most = codec == Codec::av1 ? 32 : 16;
    const NV_ENC_RC_PARAMS& rates = config.rcParams;
    forbid_if(states > most, text("numStateBuffers ", states, "; ", most, " are possible"));
    forbid_if(states > 0 && rates.enableLookahead, "numStateBuffers with enableLookahead");
    if (states > 0 && config.frameIntervalP > 1)
        refuse(Status::unsupported_param, "numStateBuffers with B pictures is not simulated");
    if (!looks_ahead_outside(rates)) return;
    forbid_if(rates.enableLookahead, "enableExtLookahead with enableLookahead");
    forbid_if(rates.lookaheadDepth == 0, "enableExtLookahead with lookaheadDepth 0");
    if (config.frameIntervalP > 1)
        refuse(Status::unsupported_param, "enableExtLookahead with B pictures is not simulated");
}

TrialLimits trial_limits_of(const NV_ENC_INITIALIZE_PARAMS& params, const NV_ENC_CONFIG& config) {
    return {state_buffers(params), looks_ahead_outside(config.rcParams) ? config.rcParams.lookaheadDepth : 0u};
}
