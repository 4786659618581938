"""What a model does to real inputs, and what low precision does to it."""
