"""Decisions: the Gymnasium environment, policies, training, evaluation and the report."""
