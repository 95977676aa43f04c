"""The pure step: observations in, intents out."""
