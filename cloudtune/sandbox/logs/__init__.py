"""The log group of the training jobs, as CloudWatch Logs shows it."""
