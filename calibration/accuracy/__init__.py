"""Accuracy control: criterion, evaluation, repairs and mixed precision."""
