"""Why residual nets train: gradients, responses, lesions, the loss surface. All work on a copy of the net."""
