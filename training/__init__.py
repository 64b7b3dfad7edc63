"""Training: features in, evaluated and registered models and published versions out."""
