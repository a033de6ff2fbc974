"""Finds, in a process of its own, why a training would fail, before the run counts as begun."""
