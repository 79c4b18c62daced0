"""Formats that records come in: one module each, bytes in, samples or a named reason out."""
