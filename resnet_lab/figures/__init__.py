"""Pure functions: records → plotly figures and images. Knows no models."""
