"""Data that are streamed: what a resumed run cannot promise of them."""

STREAMED = "the data are streamed: a resumed run finds its place in the first pass over them only"
