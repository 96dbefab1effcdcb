"""The lab's colours: one for residual, one for plain, in every figure (Okabe and Ito 2008, colour-blind safe)."""

RESIDUAL, RESIDUAL_DARK = "#0072B2", "#56B4E9"
PLAIN, PLAIN_DARK = "#D55E00", "#E69F00"
INK = {"light": ("#1B1F24", "#E3E8ED"), "dark": ("#E6EAEE", "#2B333C")}  # text, grid lines
SHORTCUT = {
    "light": ("#00755A", "#A6447F"),
    "dark": ("#35C79B", "#E08BBE"),
}  # padding, projection: the same two hues
