"""Films: clips in and out, flow, and one module fitted frame after frame."""
