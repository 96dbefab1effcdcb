"""Pure functions: records → plotly figures and pictures. Knows no models."""
