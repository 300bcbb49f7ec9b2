"""The what-if: the analytic engine, the dataset, the causal mobility model and the augmentation."""
