"""What would go wrong in a training, found in a process of its own before the run counts as begun."""
