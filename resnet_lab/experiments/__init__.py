"""One file an experiment: question, measurement, figure and caption; page and command line use the same."""
