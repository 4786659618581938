"""Random small models of all layer kinds, with random conditioning."""
