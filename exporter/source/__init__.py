"""Source of an export: an Application, a model file or a Keras model, and its random weights."""
