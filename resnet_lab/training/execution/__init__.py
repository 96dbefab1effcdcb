"""How a step is computed: device, precision, layout, compilation, several processes."""
