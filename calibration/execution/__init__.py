"""Execution of graphs over many images in bounded memory."""
