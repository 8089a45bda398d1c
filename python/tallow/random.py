"""The global random number generator, as torch.random."""

from ._C import default_generator


def manual_seed(seed):
    """Seeds the global generator, and returns it."""
    return default_generator.manual_seed(seed)


def seed():
    """Seeds the global generator from the system, and returns the seed."""
    return default_generator.seed()


def initial_seed():
    return default_generator.initial_seed()


def get_rng_state():
    return default_generator.get_state()


def set_rng_state(state):
    default_generator.set_state(state)
