"""Figures that a person would look at: logged with every run, drawn in notebooks."""
