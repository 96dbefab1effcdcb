"""The lab's colours: one for residual, one for plain, in every figure (Okabe and Ito 2008, colour-blind safe)."""

RESIDUAL, RESIDUAL_DARK = "#0072B2", "#56B4E9"
PLAIN, PLAIN_DARK = "#D55E00", "#E69F00"
