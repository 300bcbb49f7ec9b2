"""Who decides: the Gymnasium environment, the policies, training, evaluation and the report."""
