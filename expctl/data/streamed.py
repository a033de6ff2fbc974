"""What is said of streamed data, for which a resumed run is not exact."""

STREAMED = "the data are streamed: a resumed run finds its place in the first pass over them only"
NOT_STREAMED = (
    "expctl's own loaders stream nothing: they read rows once, into a file that is mapped and not held in memory, so "
    "that a resumed run finds its place exactly"
)
INSTEAD = "leave it out, or dataset.rows=100000 for a part; a loader of your own may give an IterableDataset"
