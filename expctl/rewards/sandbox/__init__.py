"""Runs programs that nobody has read, in processes that the kernel lets do nothing but compute.

`processes` and `protection` are for who asks; the other modules run inside, in an interpreter without packages.
"""
