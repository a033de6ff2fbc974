"""expctl: refuse early, lose nothing, conclude over seeds. See README.md."""

__version__ = "0.1.0"
