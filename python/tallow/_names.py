"""Which names a module has."""


def take(to, source, names, prefix=""):
    """Gives the module `to` those of the names that `source` has, where they are called with
    `prefix` in front or as they are."""
    for name in names.split():
        found = getattr(source, prefix + name, None)
        if found is None:
            found = getattr(source, name, None)
        if found is not None:
            to[name] = found
