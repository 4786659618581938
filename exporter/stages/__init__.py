"""The stages of an export, from a request to a bundle that is ready to publish."""
