"""Receive packets over TCP, keep them, answer them, bring them to the database."""
