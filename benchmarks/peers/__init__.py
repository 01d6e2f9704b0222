"""The known toolkits on the same model, tokens and evaluation as ours. See README.md."""
