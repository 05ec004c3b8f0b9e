"""Simulated data loggers, one or a city of them, for tests, demonstrations and load."""
