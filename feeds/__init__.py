"""Turns plain-text news digests into topic feeds and a newsletter."""

__version__ = "0.1.0"
