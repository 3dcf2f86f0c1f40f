"""Random numbers that depend on where they are drawn and on nothing that happened before."""

import random

import numpy as np
import torch

# what is seeded: the same numbers must not come up in both
SAMPLE = 0
STEP = 1


def seed_all(*entropy: int) -> None:
    """Seed Python's, NumPy's and torch's global generators, on CPU and CUDA, from non-negative integers.

    Integers that are close to each other give unrelated random numbers. Nothing waits for a device.
    """
    words = np.random.SeedSequence(entropy).generate_state(4, np.uint32).tolist()
    random.seed(words[0])
    np.random.seed(words[1])
    seed = words[2] << 32 | words[3]
    # not torch.manual_seed: without CUDA it formats a stack trace each time, as long as loading a small photograph
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
