"""Live streaming: frames in, packets out, and the viewers' answers steer the encoder."""
