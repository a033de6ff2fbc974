"""The note on streamed data, for which a resumed run is not exact."""

STREAMED = "the data are streamed: a resumed run finds its place in the first pass over them only"
