"""The diagram of a net, as SVG."""
