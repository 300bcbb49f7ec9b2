"""`mlb fidelity`: ns-3 and the models on the same traces, seeds and CIO sequences."""
