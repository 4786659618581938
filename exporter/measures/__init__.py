"""Measures of tasks: labelled data as users have it, and how right answers are on it."""
