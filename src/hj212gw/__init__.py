"""A gateway for HJ 212 pollution monitoring data."""

__version__ = "0.4.0"
