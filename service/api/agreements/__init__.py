"""The documents: what is promised, every version of it."""
