"""Randomness as a pure function of (seed, stream, index): what makes resuming exact and runs comparable."""

import numpy as np

STREAMS = {"weights": 0, "order": 1, "noise": 2, "validation": 3, "evaluation": 4, "figures": 5}


def derive(seed: int, stream: str, index: int = 0) -> int:
    """A 63-bit seed for one use of randomness; different streams and indices are independent of each other."""
    words = np.random.SeedSequence([seed, STREAMS[stream], index]).generate_state(2, np.uint32)
    return (int(words[0]) << 32 | int(words[1])) >> 1
