"""Passes: one pure function `Model -> Model` in each file; `pipeline` is the list of them."""
