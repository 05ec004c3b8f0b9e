"""Transmission and validity rates: what the province assesses a city by (assessment.md)."""
