"""Changes of a graph, one pure function `Model -> Model` a file; `pipeline` has their order."""
